"""What a training tells: step by step while it runs, and as a report when it has ended. Plain values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pinnace.models.training.checkpoint import Evaluation
from pinnace.models.training.rows import Refusal


@dataclass(frozen=True, slots=True)
class StepTaken:
    """One step of `steps`: the mean loss of its batch, tokens and seconds of the whole training so far, and
    the evaluation where there was one after it."""

    step: int
    steps: int
    loss: float
    tokens: int
    seconds: float
    evaluation: Evaluation | None = None


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """A training that has ended.

    `rows` were trained on and `held` held back; `tokens` went through the model, padding and what is computed
    once for all rows apart; `seconds` are of all runs together, where it was interrupted. `of` tells this
    training from others, `base_sha256` its base. `begin` is the report of the adapter that it went on from,
    None where it began afresh. `is_new` says whether it ran, or lay there already.
    """

    folder: Path
    base: str
    base_sha256: str
    of: str
    settings: Mapping[str, Any]
    rows: int
    held: int
    refused: tuple[Refusal, ...]
    tokens: int
    seconds: float
    steps: int
    best_step: int
    evaluations: tuple[Evaluation, ...]
    device: str
    begin: Mapping[str, Any] | None = None
    is_new: bool = True

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it, the folder left out."""
        fields = asdict(self)
        del fields["folder"], fields["is_new"]
        if self.begin is None:
            del fields["begin"]
        return fields


def report_of(folder: Path, found: Mapping[str, Any]) -> TrainingReport:
    """The report that lies in an adapter's folder, of a training that need not run again."""
    fields: dict[str, Any] = dict(found)
    fields["refused"] = tuple(Refusal(**each) for each in found["refused"])
    fields["evaluations"] = tuple(Evaluation(**each) for each in found["evaluations"])
    return TrainingReport(folder=folder, **fields, is_new=False)
