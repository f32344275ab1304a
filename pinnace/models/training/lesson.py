"""A lesson: what one adapter is to learn, as losses of items; here of rows of prompt and answer."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from pinnace.models.training.label_logits import full_logits, is_plain, label_logits, token_losses
from pinnace.models.training.row_tokens import Piece, TokenRow, piece_of

Logits = Callable[[Any, Piece], Any]
"""From a model and a piece to the logits of its labels."""


class Losses(NamedTuple):
    """The losses of some items added up, as a tensor with its gradient, and how many items are right."""

    loss: Any
    right: int


class Lesson(Protocol):
    """Items to learn from, by their place.

    `lengths` is what each takes in tokens, `weights` how much each counts in the mean loss.
    """

    @property
    def lengths(self) -> Sequence[int]: ...

    @property
    def weights(self) -> Sequence[int]: ...

    def losses(self, model: Any, items: Sequence[int]) -> Losses:
        """The losses of `items`, each as often as it counts."""
        ...


class AnswerLesson:
    """Learn the answers: the cross-entropy of their tokens, and of nothing else.

    An item is right where every token of its answer is the likeliest: what greedy decoding writes then.
    """

    def __init__(self, rows: Sequence[TokenRow], device: Any, logits: Logits) -> None:
        self.lengths = [len(row) for row in rows]
        self.weights = [len(row.answer) for row in rows]
        self._rows = rows
        self._device = device
        self._logits = logits

    def losses(self, model: Any, items: Sequence[int]) -> Losses:
        """See `Lesson`."""
        piece = piece_of([self._rows[i] for i in items], self._device)
        logits = self._logits(model, piece)
        wrong = (logits.argmax(-1) != piece.label).long()
        torch: Any = importlib.import_module("torch")
        misses = torch.zeros(len(items), dtype=torch.long, device=self._device)
        right = int((misses.index_add_(0, piece.row, wrong) == 0).sum())
        return Losses(token_losses(logits, piece.label).sum(), right)


def logits_for(model: Any, rows: Sequence[TokenRow], device: Any) -> Logits:
    """`label_logits`, where on two of `rows` the model is found to be one that it fits."""
    return label_logits if is_plain(model, piece_of(rows[:2], device)) else full_logits
