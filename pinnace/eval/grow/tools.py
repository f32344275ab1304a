"""What a growth works with: seams to the trainer, the fleet and whoever watches."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pinnace.eval.grow.measuring import measuring_fleet
from pinnace.models.fleet import Fleet
from pinnace.models.training.report import StepTaken, TrainingReport
from pinnace.models.training.rows import TrainingRows
from pinnace.models.training.settings import TrainingSettings
from pinnace.models.training.workshop import Base
from pinnace.router.types import Embedder

Done = Callable[[int], None]
"""Told how many parts of a step are done."""


class Told(Protocol):
    """Who is told how far a growth is."""

    def begin(self, what: str, total: int | None) -> Done:
        """A step begins, of so many parts; what it returns is told how many are done."""
        ...


class Trainer(Protocol):
    """Trains an adapter and writes it to a folder, or goes on where it was stopped."""

    def __call__(
        self,
        rows: TrainingRows,
        base: Base,
        out: Path,
        settings: TrainingSettings,
        *,
        on_step: Callable[[StepTaken], None],
    ) -> TrainingReport: ...


@dataclass(frozen=True, slots=True)
class Tools:
    """The `base`'s name and folder, how to `count` an answer's tokens, how to `train`, the router's
    `embedder`, and how to make a fleet of members and the teacher's answers."""

    base: Base
    count: Callable[[str], int]
    train: Trainer
    embedder: Embedder
    make_fleet: Callable[..., Fleet] = measuring_fleet
