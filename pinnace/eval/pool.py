"""The pool of a replay: which models of a table are the small fleet, and which one is the large model."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pinnace.errors import TableError
from pinnace.eval.table import OutcomeTable


@dataclass(frozen=True, slots=True)
class Pool:
    """The small models, and the large one where there is one."""

    small: tuple[str, ...]
    large: str | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """All of them, the large one last."""
        return self.small if self.large is None else (*self.small, self.large)


def parse_pool(text: str, table: OutcomeTable) -> Pool:
    """Read `SMALL,SMALL,...[:LARGE]`; a colon in a model's name is part of the name.

    :raises TableError: when a name is not a model of the table, or comes twice; names the nearest one.
    """
    pool = max(_readings(text), key=lambda reading: _fits(reading, table.models))
    for name in pool.models:
        if name not in table.models:
            raise TableError(
                f"--pool: expected models of the table, got {name!r}{_nearest(name, table.models)}"
            )
    if len(set(pool.models)) < len(pool.models):
        raise TableError(f"--pool: expected every model once, got {text!r}")
    return pool


def chosen_pool(text: str | None, table: OutcomeTable) -> Pool:
    """The pool that `text` names, every model of the table where there is none.

    :raises TableError: as `parse_pool` does.
    """
    return parse_pool(text, table) if text else whole_pool(table)


def whole_pool(table: OutcomeTable) -> Pool:
    """Every model of the table; the dearest by mean cost is the large one, where costs are known."""
    if len(table.models) < 2 or np.isnan(table.costs).all(axis=0).any():
        return Pool(table.models)
    dearest = table.models[int(np.argmax(np.nanmean(table.costs, axis=0)))]
    return Pool(tuple(model for model in table.models if model != dearest), dearest)


def _readings(text: str) -> Iterator[Pool]:
    """Every way to read a pool: all of it small, or any of its colons before the large model."""
    yield Pool(_names(text))
    for at in (place for place, letter in enumerate(text) if letter == ":"):
        yield Pool(_names(text[:at]), text[at + 1 :].strip())


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _fits(pool: Pool, models: Sequence[str]) -> tuple[bool, int]:
    """Whether all names are known; the more different ones are, the likelier is this what was meant."""
    known = sum(name in models for name in pool.models)
    is_known = known == len(pool.models)
    return is_known, len(set(pool.models)) - len(pool.models) if is_known else known


def _nearest(name: str, models: Sequence[str]) -> str:
    found = difflib.get_close_matches(name, models, n=1, cutoff=0.4)
    return f"; did you mean {found[0]!r}?" if found else f"; it has {', '.join(models)}"
