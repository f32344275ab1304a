"""What a training is told: one frozen value, checked once. Knows nothing of rows, models or files."""

from dataclasses import dataclass
from typing import Any

from pinnace.errors import TrainingError

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""All linear modules of a Llama-like decoder's layers."""
HIGHEST_RANK = 256


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How an adapter is trained; two trainings with the same settings, rows and base give the same adapter.

    `rank`, `alpha`, `targets` and `dropout` are LoRA's (Hu et al. 2021): the product of its two matrices
    counts `alpha / rank`. `batch` rows make one step, of AdamW without decay; its rate rises over the share
    `warm_up` of all steps to `learning_rate` and falls in a line to 0. `clip` bounds the gradient's norm.

    The share `held_back` of the prompts, at most `held_most`, is never trained on. The loss there is taken
    `evaluations` times an epoch; the best adapter is kept, and after `patience` times without a better one
    the training ends. `max_tokens` is what a row may have, prompt and answer together; `piece_tokens` bounds
    memory: a batch runs through the model in pieces of at most so many tokens.

    :raises TrainingError: when a value is out of its range.
    """

    rank: int = 8
    alpha: int = 16
    targets: tuple[str, ...] = LINEAR
    dropout: float = 0.0
    learning_rate: float = 1e-3
    batch: int = 32
    epochs: int = 3
    seed: int = 0
    system: str | None = None
    warm_up: float = 0.05
    clip: float = 1.0
    held_back: float = 0.05
    held_most: int = 500
    evaluations: int = 2
    patience: int = 3
    max_tokens: int = 1024
    piece_tokens: int = 4096

    def __post_init__(self) -> None:
        _check("rank", self.rank, 1 <= self.rank <= HIGHEST_RANK, f"1 to {HIGHEST_RANK}")
        _check("targets", self.targets, bool(self.targets), "at least one module name")
        for name in ("alpha", "batch", "epochs", "held_most", "evaluations", "patience"):
            value: int = getattr(self, name)
            _check(name, value, value >= 1, "at least 1")
        for name in ("learning_rate", "clip"):
            rate: float = getattr(self, name)
            _check(name, rate, 0 < rate < float("inf"), "more than 0")
        for name in ("dropout", "warm_up", "held_back"):
            share: float = getattr(self, name)
            _check(name, share, 0 <= share < 1, "0 to less than 1")
        _check("seed", self.seed, 0 <= self.seed < 2**63, "0 or more")
        _check("max_tokens", self.max_tokens, self.max_tokens >= 8, "at least 8")
        _check("piece_tokens", self.piece_tokens, self.piece_tokens >= self.max_tokens, "max_tokens or more")


def rate_at(step: int, steps: int, settings: TrainingSettings) -> float:
    """The learning rate of one step of `steps`, the first of which is 0."""
    rising = max(round(settings.warm_up * steps), 1)
    if step < rising:
        return settings.learning_rate * (step + 1) / rising
    return settings.learning_rate * (steps - step) / max(steps - rising, 1)


def _check(name: str, got: Any, is_right: bool, expected: str) -> None:
    if not is_right:
        raise TrainingError(f"{name}: expected {expected}, got {got!r}")
