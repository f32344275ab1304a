"""What served requests teach: prompts and the answers that the teacher gave, or that people rated well.

Only what the ledger holds as text can teach, never a request that was marked private, and only requests whose
answer rests on one prompt and perhaps a system turn: of others the ledger has not all that was asked.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinnace.eval.grow.domains import Placed
from pinnace.eval.grow.examples import Taught
from pinnace.router.ledger import read_ledger
from pinnace.router.ledger_feedback import Feedback, read_feedback
from pinnace.router.ledger_row import LedgerRow
from pinnace.router.types import IntArray

WELL = 0.5
"""The rating from which on an answer is one to learn."""
Place = Callable[[Sequence[str]], IntArray]
"""From prompts to the clusters that they fall into, (n,)."""


@dataclass(frozen=True, slots=True)
class Served:
    """One served request that can be used: what it `asked` and was answered, as a row of a file has it;
    `teaches` says whether that is to be learnt."""

    asked: Mapping[str, Any]
    is_teachers: bool
    teaches: bool


def served_requests(path: Path, teacher: str) -> tuple[tuple[Served, ...], Mapping[str, int]]:
    """The requests of a ledger that can be used, and how many cannot, by the reason.

    :param teacher: the name of the model that teaches.
    :raises ConfigError: when there is no ledger at `path`.
    """
    rows, feedback = read_ledger(path), read_feedback(path)
    found: list[Served] = []
    unused: Counter[str] = Counter()
    for row in rows:
        if why := _why_unused(row):
            unused[why] += 1
            continue
        rating = _rating(row, feedback)
        is_teachers = row.model == teacher
        asked = {"prompt": row.prompt, "answer": row.answer, "system": row.system or None}
        teaches = is_teachers if rating is None else rating >= WELL
        found.append(Served(asked, is_teachers, teaches))
    return tuple(found), dict(unused)


def placed_requests(
    served: Sequence[Served], taught: Sequence[Taught | None], place: Place
) -> tuple[Placed, ...]:
    """Each request with its cluster in the present state, and what it teaches.

    :param taught: of each request, redacted; None where it must not be learnt from.
    """
    clusters: list[int] = place([each.asked["prompt"] for each in served]).tolist()
    return tuple(
        Placed(at, each.is_teachers, one if each.teaches else None)
        for at, each, one in zip(clusters, served, taught, strict=True)
    )


def _why_unused(row: LedgerRow) -> str:
    if row.private:
        return "private"
    if not row.prompt or not row.answer:
        return "no stored text"
    if row.outcome not in ("accepted", "cached"):
        return "no whole answer"
    return "more than one prompt: further turns, tools or a schema" if row.system is None else ""


def _rating(row: LedgerRow, feedback: Mapping[str, tuple[Feedback, ...]]) -> float | None:
    """The last rating of a request's answer."""
    given = feedback.get(row.request_id, ())
    return given[-1].rating if given else None
