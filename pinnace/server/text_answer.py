"""Answers of the older text completions on the wire, whole and streamed.

Knows nothing of how an answer came about.
"""

from collections.abc import Sequence
from typing import Any

from pinnace.models.completion import Delta, TokenLogprob, total_tokens
from pinnace.router.answer import Answered
from pinnace.server.completion import LEAST_LOGPROB, route_of, to_json, usage_of
from pinnace.server.envelope import Envelope
from pinnace.server.frames import Frames
from pinnace.server.sse import frame


class TextChoices:
    """The choices that continue one prompt, as they grow.

    :param logprobs: alternatives per token to show; None shows no log-probabilities.
    """

    def __init__(self, prompt: str, choices: int, logprobs: int | None) -> None:
        self._texts: list[list[str]] = [[] for _ in range(choices)]
        self._tokens: list[list[TokenLogprob]] = [[] for _ in range(choices)]
        self._finishes = ["stop"] * choices
        self._offset = len(prompt)
        self._logprobs = logprobs

    def add(self, delta: Delta) -> None:
        """Take the next piece of whichever choice it belongs to."""
        self._texts[delta.index].append(delta.text)
        self._tokens[delta.index].extend(delta.logprobs)
        if delta.finish_reason is not None:
            self._finishes[delta.index] = delta.finish_reason

    def to_wire(self, first: int) -> list[dict[str, Any]]:
        """The choices in OpenAI's fields, numbered from `first` on."""
        found = zip(self._texts, self._tokens, self._finishes, strict=True)
        return [
            _choice(
                first + index, "".join(text), text_logprobs_of(tokens, self._logprobs, self._offset), finish
            )
            for index, (text, tokens, finish) in enumerate(found)
        ]


class TextCompletion:
    """Gathers the answer to one prompt."""

    def __init__(
        self, completion_id: str, created: int, prompt: str, *, choices: int, logprobs: int | None
    ) -> None:
        self.choices = TextChoices(prompt, choices, logprobs)
        self._head = head_of(completion_id, created)

    def add(self, delta: Delta) -> None:
        """Take the next piece."""
        self.choices.add(delta)

    def body(self, answered: Answered) -> bytes:
        """The JSON of the whole answer."""
        rest = {"usage": usage_of(answered.usage), "pinnace": route_of(answered)}
        return to_json(
            {**self._head, "model": answered.model, "choices": self.choices.to_wire(0), **rest}
        ).encode()


class TextChunks:
    """Renders the events of one stream; see `Chunks` of the chat."""

    def __init__(
        self,
        completion_id: str,
        created: int,
        prompt: str,
        model: str,
        *,
        logprobs: int | None,
        with_usage: bool,
    ) -> None:
        self._frames = frames = Frames(
            {**head_of(completion_id, created), "model": model}, with_usage=with_usage
        )
        self._before_text = f'data: {frames.opening},"choices":[{{"index":'
        self._after_text = f',"logprobs":null,"finish_reason":null}}]{frames.no_usage}}}\n\n'
        self._logprobs = logprobs
        self._prompt = prompt
        self._offsets: dict[int, int] = {}

    def opening(self) -> bytes:
        """Text completions begin with their text."""
        return b""

    def delta(self, delta: Delta) -> bytes:
        """What to send for `delta`: nothing, one event or two."""
        reason = delta.finish_reason
        finish = None if reason is None else _choice(delta.index, "", None, reason)
        return self._frames.piece(self._content(delta), finish)

    def ending(self, answered: Answered) -> bytes:
        """The final event, with the account of the route, and `[DONE]`."""
        return self._frames.ending(answered, _choice(0, "", None, "stop"))

    def failure(self, envelope: Envelope) -> bytes:
        """The event of an error; no `[DONE]` follows it."""
        return frame(envelope.body())

    def _content(self, delta: Delta) -> bytes:
        if self._logprobs is None and delta.text:
            text = to_json(delta.text)
            return f'{self._before_text}{delta.index},"text":{text}{self._after_text}'.encode("ascii")
        if not delta.text and not delta.logprobs:
            return b""
        offset = self._offsets.get(delta.index, len(self._prompt))
        self._offsets[delta.index] = offset + sum(len(token.token) for token in delta.logprobs)
        logprobs = text_logprobs_of(delta.logprobs, self._logprobs, offset)
        return self._frames.choice(_choice(delta.index, delta.text, logprobs, None))


def several(
    completion_id: str, created: int, found: Sequence[tuple[TextCompletion, Answered]], model: str
) -> bytes:
    """The JSON of the answers to several prompts, in their order; `pinnace` has an entry a prompt."""
    choices: list[dict[str, Any]] = []
    for text, _ in found:
        choices += text.choices.to_wire(len(choices))
    accounts = [account for _, account in found]
    rest = {
        "usage": usage_of(total_tokens(account.usage for account in accounts)),
        "pinnace": [route_of(account) for account in accounts],
    }
    return to_json({**head_of(completion_id, created), "model": model, "choices": choices, **rest}).encode()


def head_of(completion_id: str, created: int) -> dict[str, Any]:
    """What every answer begins with."""
    return {"id": completion_id, "object": "text_completion", "created": created}


def text_logprobs_of(tokens: Sequence[TokenLogprob], top: int | None, offset: int) -> dict[str, Any] | None:
    """The older form of log-probabilities; None where they were not asked for, or there are none.

    :param offset: characters before the first of `tokens`, the prompt's among them.
    """
    if top is None or not tokens:
        return None
    offsets: list[int] = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.token)
    return {
        "tokens": [token.token for token in tokens],
        "token_logprobs": [_finite(token.logprob) for token in tokens],
        "top_logprobs": [{t: _finite(p) for t, p in token.top[:top]} for token in tokens] if top else None,
        "text_offset": offsets,
    }


def _finite(logprob: float) -> float:
    return max(logprob, LEAST_LOGPROB)


def _choice(index: int, text: str, logprobs: Any, finish_reason: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish_reason}
