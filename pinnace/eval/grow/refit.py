"""The state's table with the rows of new domains, and the state that is fitted from it.

On rows of the state's table that have a score, a candidate counts as wrong: nobody knows what is right
there, and it was made for other requests. So the router learns where its domain ends, and at worst asks it
less than it could. Of those that the candidate was asked, its evidence teaches its gate. Prompts that it
was trained on have no score: they only tell where the domain lies.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pinnace.eval.example import Example
from pinnace.eval.fitting import fit_apart
from pinnace.eval.grow.asked import example_of
from pinnace.eval.grow.decision import Bar, certified_bar
from pinnace.eval.grow.examples import Taught
from pinnace.eval.grow.measuring import Measured
from pinnace.eval.grow.setting import GROWN, Setting
from pinnace.eval.grow.splits import drawn
from pinnace.eval.join import join_tables
from pinnace.eval.scoring import score
from pinnace.eval.table import EvidenceColumn, OutcomeTable
from pinnace.router.fit import StateFit
from pinnace.router.types import Embedder, FloatArray

BoolArray = npt.NDArray[np.bool_]

KNOWN_PROMPTS = 1_500
"""Prompts of the training rows that tell the state where the domain lies."""


@dataclass(frozen=True, slots=True, eq=False)
class NewDomain:
    """A candidate's `name`, what was measured of its domain, and rows that it was trained on.

    `teacher` has the teacher's score and tokens on each calibration row, (n, 2).
    """

    name: str
    measured: Measured
    trained: tuple[Taught, ...]
    teacher: FloatArray

    @property
    def task(self) -> str:
        """What its rows are called in the table."""
        return f"{GROWN}{self.name}"


@dataclass(frozen=True, slots=True, eq=False)
class GrownFit:
    """A grown table, what was fitted from it, and the certified bar of each of its specialists."""

    table: OutcomeTable
    fit: StateFit
    bars: Mapping[str, Bar | None]


def teacher_scores(
    examples: Sequence[Example], answers: Sequence[str], count: Callable[[str], int]
) -> FloatArray:
    """The teacher's score on each row, and the tokens of its answer, (n, 2)."""
    found = [
        (score(each.rule, answer, each.expected, each.choices), float(count(answer)))
        for each, answer in zip(examples, answers, strict=True)
    ]
    return np.array(found, dtype=np.float64).reshape(len(found), 2)


def grown_table(setting: Setting, new: Sequence[NewDomain]) -> OutcomeTable:
    """The state's table with the columns and rows of new domains; what it had under their names goes."""
    names, tasks = {each.name for each in new}, {each.task for each in new}
    fresh = {name for each in new for name in each.measured.domain.ids}
    old = setting.table
    rows = [i for i, task in enumerate(old.tasks) if task not in tasks and old.ids[i] not in fresh]
    table = _without(old.take(rows), names)
    is_scored: BoolArray = np.asarray(~np.isnan(table.scores).all(axis=1))
    for each in new:
        table = _with_wrong(table, each, is_scored)
    known = {*table.models, setting.column()}
    return join_tables([table, *(_rows(each, known, setting.column()) for each in new)])


def grown_fit(
    setting: Setting, table: OutcomeTable, embedder: Embedder, keep: float, seed: int = 0
) -> GrownFit:
    """Fit a grown table by Pinnace's own fit, and certify the bar of each specialist in it.

    :param embedder: knows the table's prompts.
    """
    apart = tuple(dict.fromkeys(task for task in table.tasks if task.startswith(GROWN)))
    sources = [name for name in setting.state.provenance.sources if not name.startswith(GROWN)]
    fit = fit_apart(
        table,
        embedder,
        clusters=setting.clusters,
        hold_tokens=setting.state.hold_tokens,
        seed=seed,
        sources=[*sources, *apart],
        apart=apart,
    )
    names = [name for task in apart if (name := task.removeprefix(GROWN)) in table.models]
    bars = {name: certified_bar(*judged_rows(table, fit, name, setting.column()), keep) for name in names}
    return GrownFit(table, fit, bars)


def judged_rows(
    table: OutcomeTable, fit: StateFit, name: str, teacher: str
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Held-out confidence, score and the teacher's score on the calibration rows of a specialist, all (n,).

    Where no gate could be fitted, confidence is the router's estimate: then all of its answers stand, or
    none.
    """
    own, its = table.models.index(name), table.models.index(teacher)
    is_own = np.array([task == f"{GROWN}{name}" for task in table.tasks])
    rows = np.flatnonzero(is_own & ~np.isnan(table.scores[:, own]) & ~np.isnan(table.scores[:, its]))
    confidence = fit.confidences[rows, own]
    filled = np.where(np.isnan(confidence), 0.0, confidence)
    return filled, table.scores[rows, own], table.scores[rows, its]


def _without(table: OutcomeTable, names: set[str]) -> OutcomeTable:
    kept = [j for j, model in enumerate(table.models) if model not in names]
    return replace(
        table,
        models=tuple(table.models[j] for j in kept),
        scores=table.scores[:, kept],
        costs=table.costs[:, kept],
        evidence={model: column for model, column in table.evidence.items() if model not in names},
        answers={},
    )


def _with_wrong(table: OutcomeTable, new: NewDomain, is_scored: BoolArray) -> OutcomeTable:
    """A column more: wrong wherever somebody has a score, with evidence where it was asked."""
    strange = new.measured.foreign
    known = dict(zip(strange.ids, strange.evidence.get(new.name, (None,) * len(strange)), strict=True))
    wrong = np.where(is_scored, 0.0, np.nan)[:, None]
    column: EvidenceColumn = tuple(known.get(name) for name in table.ids)
    return replace(
        table,
        models=(*table.models, new.name),
        scores=np.hstack([table.scores, wrong]),
        costs=np.hstack([table.costs, np.full_like(wrong, np.nan)]),
        evidence={**table.evidence, new.name: column},
    )


def _rows(new: NewDomain, models: Collection[str], teacher: str) -> OutcomeTable:
    """The domain's own rows: measured ones with the teacher's score, then prompts without any.

    :param models: whose scores are taken: a model of which the state knows nothing else stays unknown to it.
    """
    found = _without(
        new.measured.domain, {model for model in new.measured.domain.models if model not in models}
    )
    known = drawn(new.trained, KNOWN_PROMPTS)
    prompts = {each.id: example_of(each, new.task, "fit", 1) for each in known}
    extra = [prompts[name] for name in prompts if name not in set(found.ids)]
    n, more = len(found), len(extra)
    scores = np.hstack([found.scores, new.teacher[:, :1]])
    lengths = tuple({"completion_tokens": int(tokens)} for tokens in new.teacher[:, 1].tolist())
    columns = (*found.models, teacher)
    return OutcomeTable(
        ids=(*found.ids, *(each.id for each in extra)),
        tasks=(new.task,) * (n + more),
        prompts=(*found.prompts, *(each.routed for each in extra)),
        models=columns,
        scores=np.vstack([scores, np.full((more, len(columns)), np.nan)]),
        costs=np.full((n + more, len(columns)), np.nan),
        splits=("fit",) * (n + more),
        evidence={
            **{model: (*column, *(None,) * more) for model, column in found.evidence.items()},
            teacher: (*lengths, *(None,) * more),
        },
    )
