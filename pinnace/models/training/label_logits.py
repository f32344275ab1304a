"""Logits only where there is a label, and the shared beginning of all prompts computed once.

Of a batch of short questions the model's head would spend half of all time on positions that nobody asks
for, and the body a third on a system turn that is the same in every row (docs/log.md). The gradient flows
through the shared keys and values, so loss and gradient are those of the whole computation. Knows
decoders of transformers with one head on top; whether a model is one is tried, not assumed.
"""

import importlib
from typing import Any

from pinnace.models.training.row_tokens import Piece


def label_logits(model: Any, piece: Piece) -> Any:
    """The logits that predict the labels of `piece`, (labels, vocabulary).

    :param model: a causal language model of transformers, its adapter inside.
    """
    body = getattr(model, model.base_model_prefix)
    seen = None
    if len(piece.shared):
        seen = body(input_ids=piece.shared[None], use_cache=True).past_key_values
        seen.batch_repeat_interleave(len(piece.rest))
    hidden = body(input_ids=piece.rest, past_key_values=seen, use_cache=seen is not None).last_hidden_state
    return model.get_output_embeddings()(hidden[piece.row, piece.column])


def full_logits(model: Any, piece: Piece) -> Any:
    """The same by the model's own forward, of every position of whole rows."""
    torch: Any = importlib.import_module("torch")
    beginning = piece.shared.expand(len(piece.rest), -1)
    whole = torch.cat([beginning, piece.rest], dim=1)
    logits = model(input_ids=whole, use_cache=False).logits
    return logits[piece.row, piece.column + len(piece.shared)]


def is_plain(model: Any, piece: Piece) -> bool:
    """Whether `label_logits` gives what the model's own forward gives: no cap or scale after its head."""
    torch: Any = importlib.import_module("torch")
    with torch.no_grad():
        try:
            ours = label_logits(model, piece).float()
        except (AttributeError, TypeError, ValueError, RuntimeError):
            return False
        theirs = full_logits(model, piece).float()
    apart = (ours.log_softmax(-1) - theirs.log_softmax(-1)).abs().mean()
    return bool(apart < 0.1)  # bf16 of another order of sums is apart by a tenth of that


def token_losses(logits: Any, labels: Any) -> Any:
    """The negative log-probability of each label, (labels,), in fp32."""
    functional: Any = importlib.import_module("torch.nn.functional")
    return functional.cross_entropy(logits.float(), labels, reduction="none")
