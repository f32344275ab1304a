"""What came of a growth: plain values, and the JSON object of them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pinnace.eval.grow.decision import Verdict
from pinnace.eval.grow.plan import GrowthPlan, PlannedDomain
from pinnace.eval.grow.routing import Routed
from pinnace.models.training.report import TrainingReport

SHOWN = 20
"""Refused rows that are listed."""


@dataclass(frozen=True, slots=True)
class GrownDomain:
    """One specialist: its plan, its training, its accuracy and the teacher's on the calibration rows, and
    whether it is registered."""

    plan: PlannedDomain
    training: TrainingReport
    accuracy: float
    teacher_accuracy: float
    verdict: Verdict

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        split, verdict, training = self.plan.split, self.verdict, self.training
        return {
            "name": self.plan.name,
            "clusters": self.plan.clusters,
            "registered": verdict.is_registered,
            "why": verdict.why,
            "rows": {
                "train": len(split.train),
                "calibration": len(split.calibration),
                "holdout": len(split.held),
            },
            "epochs": training.settings["epochs"],
            "tokens": training.tokens,
            "training_seconds": training.seconds,
            "calibration_accuracy": self.accuracy,
            "calibration_teacher_accuracy": self.teacher_accuracy,
            "bar": asdict(verdict.bar) if verdict.bar else None,
            "gain_per_usd": asdict(verdict.gain) if verdict.gain else None,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Growth:
    """All of it. `after` is None where nothing was registered: then `before` is what serves on.

    `teacher` is the name of the large model, whose answers were told again, and `is_absent` whether it is not
    there to be asked; `teacher_accuracy` is on the holdout.
    """

    plan: GrowthPlan
    domains: tuple[GrownDomain, ...]
    before: Routed
    after: Routed | None
    teacher: str
    is_absent: bool
    teacher_accuracy: float
    seconds: float
    generation: str | None = None

    @property
    def serves(self) -> Routed:
        """The routing that serves from now on."""
        return self.after or self.before

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **figures(self.serves, self.teacher),
            "teacher_accuracy": self.teacher_accuracy,
            "registered": any(domain.verdict.is_registered for domain in self.domains),
            "seconds": round(self.seconds, 1),
            "before": figures(self.before, self.teacher),
            "teacher": {
                "name": self.teacher,
                "answers": "those of the examples, told again; the model itself was not asked",
                "configured": not self.is_absent,
            },
            "domains": [domain.as_dict() for domain in self.domains],
            "generation": self.generation,
            **read_dict(self.plan),
        }


def figures(found: Routed, teacher: str) -> dict[str, Any]:
    """The figures of a routing on the holdout rows that it was asked."""
    rows = len(found.models)
    return {
        "small_share": found.small_share(teacher),
        "accuracy": float(found.scores.mean()) if rows else None,
        "usd_per_1k": 1000 * float(found.usd.mean()) if rows else None,
        "answered": found.answered(),
        "holdout_rows": rows,
    }


def read_dict(plan: GrowthPlan) -> Mapping[str, Any]:
    """What was read, refused and redacted."""
    return {
        "rows": plan.rows,
        "refused": len(plan.refused),
        "refusals": [{"row": each.number, "why": each.why} for each in plan.refused[:SHOWN]],
        "redacted": dict(plan.redacted),
        "unused": dict(plan.unused),
    }
