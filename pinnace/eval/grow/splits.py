"""Which rows are trained on, which calibrate, and which only measure. Pure.

Rows with the same request are on the same side, and which side that is depends on the request and a seed
alone: a row added to the file moves no other across.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from pinnace.errors import TrainingRowsError
from pinnace.eval.grow.examples import Taught

MIN_EXAMPLES = 200
"""Different requests below which nothing is grown."""
CALIBRATION, MIN_CALIBRATION, MOST_CALIBRATION = 0.15, 100, 1500
HELD, MIN_HELD, MOST_HELD = 0.05, 50, 500
"""Shares that calibrate and that only measure, and within which counts."""


@dataclass(frozen=True, slots=True)
class Split:
    """Rows to `train` on; rows to calibrate on, never trained on; and rows that are only measured."""

    train: tuple[Taught, ...]
    calibration: tuple[Taught, ...]
    held: tuple[Taught, ...]


def split_rows(
    rows: Sequence[Taught], holdout: Sequence[Taught] | None = None, *, seed: int = 0, where: str = ""
) -> Split:
    """Split a domain's rows.

    :param holdout: what is measured on; requests among `rows` that are equal to one of these are left out.
        Without it a part of `rows` is kept aside.
    :param where: what messages begin with.
    :raises TrainingRowsError: when there are fewer than `MIN_EXAMPLES` different requests.
    """
    measured = {each.id for each in holdout or ()}
    free = [each for each in rows if each.id not in measured]
    names = sorted({each.id for each in free}, key=lambda name: _digest(seed, name))
    if len(names) < MIN_EXAMPLES:
        raise TrainingRowsError(
            f"{where}expected at least {MIN_EXAMPLES} different prompts, got {len(names)}"
        )
    calibration = _count(len(names), CALIBRATION, MIN_CALIBRATION, MOST_CALIBRATION)
    aside = 0 if holdout is not None else _count(len(names), HELD, MIN_HELD, MOST_HELD)
    first: dict[str, Taught] = {}
    for each in free:
        first.setdefault(each.id, each)
    held = tuple(holdout) if holdout is not None else tuple(first[name] for name in names[:aside])
    calibrating = names[aside : aside + calibration]
    kept_back = {*names[:aside], *calibrating}
    train = tuple(each for each in free if each.id not in kept_back)
    return Split(train, tuple(first[name] for name in calibrating), _once(held))


def drawn(rows: Sequence[Taught], most: int, seed: int = 0) -> tuple[Taught, ...]:
    """At most so many of `rows`, drawn by their names."""
    return tuple(sorted(rows, key=lambda each: _digest(seed, each.id))[:most])


def _count(n: int, share: float, least: int, most: int) -> int:
    return min(max(round(share * n), least), most)


def _once(rows: Sequence[Taught]) -> tuple[Taught, ...]:
    return tuple({each.id: each for each in reversed(rows)}.values())[::-1]


def _digest(seed: int, name: str) -> str:
    return sha256(f"{seed}:{name}".encode()).hexdigest()
