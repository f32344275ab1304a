"""From what vLLM puts out to a `Delta`: text, log-probabilities and why it ended. Pure."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from pinnace.models.completion import Delta, FinishReason, TokenLogprob, Usage

_FINISH: Mapping[str, FinishReason] = {"stop": "stop", "length": "length"}


def delta_of(piece: Any, usage: Usage) -> Delta:
    """The piece of one choice that vLLM has just written; `usage` is the count so far."""
    return Delta(
        text=piece.text,
        index=piece.index,
        logprobs=() if piece.logprobs is None else _logprobs(piece.logprobs),
        finish_reason=_FINISH.get(piece.finish_reason),
        usage=usage,
    )


def _logprobs(flat: Any) -> tuple[TokenLogprob, ...]:
    return tuple(map(partial(_logprob, flat), flat.start_indices, flat.end_indices))


def _logprob(flat: Any, start: int, end: int) -> TokenLogprob:
    """One position of vLLM's `FlatLogprobs`: first the chosen token, then the likeliest, it among them."""
    last = {flat.token_ids[at]: at for at in range(start, end)}
    best = sorted(last.values(), key=flat.ranks.__getitem__)
    top = tuple((flat.decoded_tokens[at], flat.logprobs[at]) for at in best)
    return TokenLogprob(flat.decoded_tokens[start], flat.logprobs[start], top)
