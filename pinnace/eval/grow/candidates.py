"""Candidates in a fleet: trained specialists beside what serves, and the fleets before and after them.

A specialist that a candidate of its name would replace is there too, under a name of its own, so that the
former routing can be asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pinnace.config import AdapterMember
from pinnace.eval.example import Example
from pinnace.eval.grow.answers import told
from pinnace.eval.grow.asked import example_of, longest_answer
from pinnace.eval.grow.decision import Bar
from pinnace.eval.grow.measuring import Candidate
from pinnace.eval.grow.plan import PlannedDomain
from pinnace.eval.grow.routing import fleet_with
from pinnace.eval.grow.setting import GROWN, Setting
from pinnace.eval.grow.teacher import Replay
from pinnace.eval.grow.tools import Tools
from pinnace.eval.scoring import score
from pinnace.models.fleet import Fleet
from pinnace.models.training.report import TrainingReport

FORMER = ".former"
"""What the name of a specialist ends with that a candidate of its name would replace."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A domain whose specialist is trained: its candidate, the holdout rows as requests, and the training."""

    plan: PlannedDomain
    candidate: Candidate
    held: tuple[Example, ...]
    report: TrainingReport

    @property
    def name(self) -> str:
        """The candidate's name in the fleet."""
        return self.plan.name


def trained_domain(setting: Setting, plan: PlannedDomain, report: TrainingReport, tools: Tools) -> Trained:
    """The domain with its rows as requests."""
    most = longest_answer(plan.split.train, tools.count)
    member = AdapterMember(name=plan.name, backend="vllm", base=setting.base.name, adapter=str(report.folder))
    task = f"{GROWN}{plan.name}"
    calibration = tuple(example_of(each, task, "fit", most) for each in plan.split.calibration)
    held = tuple(example_of(each, task, "held", most) for each in plan.split.held)
    return Trained(plan, Candidate(member, task, calibration), held, report)


def growing_fleet(setting: Setting, trained: Sequence[Trained], tools: Tools) -> Fleet:
    """Local members, candidates, specialists that these would replace, and the teacher's answers."""
    candidates = {each.name: each.candidate.member for each in trained}
    members = [
        member.model_copy(update={"name": f"{member.name}{FORMER}", "estimates": member.name})
        if member.name in candidates
        else member
        for member in setting.locals()
    ]
    answers = {
        one.id: told(one.row.answer)
        for each in trained
        for one in (*each.plan.split.calibration, *each.plan.split.held)
    }
    replay = Replay(setting.teacher, answers, tools.count)
    return tools.make_fleet(setting.config, [*members, *candidates.values()], replay)


def former_fleet(fleet: Fleet, trained: Sequence[Trained]) -> Fleet:
    """The fleet without the candidates."""
    return fleet_with(fleet, (), without=[each.name for each in trained])


def renewed_fleet(
    fleet: Fleet,
    setting: Setting,
    trained: Sequence[Trained],
    names: Sequence[str],
    bars: Mapping[str, Bar | None],
) -> Fleet:
    """The fleet with the candidates `names` in their places, all specialists with their new bars."""
    gone = [each.name for each in trained if each.name not in names]
    gone += [name for name in fleet.backends if name.removesuffix(FORMER) in names and name.endswith(FORMER)]
    members = [each.candidate.member for each in trained if each.name in names]
    members += [each for each in setting.grown if each.name in fleet.backends and each.name not in names]
    placed = [with_bar(member, bars).on(setting.base) for member in members]
    return fleet_with(fleet, placed, without=gone)


def with_bar(member: AdapterMember, bars: Mapping[str, Bar | None]) -> AdapterMember:
    """The member with the bar of the new state; with its own where that has none for it."""
    bar = bars.get(member.name)
    return member if bar is None else member.model_copy(update={"least_bar": bar.least})


def teacher_accuracy(trained: Sequence[Trained]) -> float:
    """The teacher's mean score on the holdout rows; 0 where there are none."""
    scores = [
        score(row.rule, told(one.row.answer), row.expected, row.choices)
        for each in trained
        for row, one in zip(each.held, each.plan.split.held, strict=True)
    ]
    return sum(scores) / len(scores) if scores else 0.0
