"""Prompts that come more than once: from train into test, and within a table.

Two prompts are the same when they are so after case and white space are evened out, and nearly the same
when they are so without digits and punctuation as well; that includes sums that differ in their numbers
alone. Paraphrases are not found.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pinnace.eval.table import OutcomeTable

TRAIN_SPLITS = ("train", "fit")
TEST_SPLITS = ("test", "held")
NAMED = 5

_MARKS = re.compile(r"[^\w\s]|[\d_]")


@dataclass(frozen=True, slots=True)
class Repeats:
    """Rows whose prompt another row has: `exact` many of the same, and `near` further ones nearly so.

    `examples` are the first few, as (id of the row, id of the row whose prompt it repeats).
    """

    exact: int
    near: int
    examples: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Leaks:
    """Test rows whose prompt is in train: of `test_rows`, against `train_rows`."""

    test_rows: int
    train_rows: int
    exact: int
    near: int
    examples: tuple[tuple[str, str], ...]


def leaks_of(table: OutcomeTable) -> Leaks | None:
    """Rows of split `test` (or `held`) whose prompt is in split `train` (or `fit`) too.

    None where the table does not have two such splits, so that nothing can be said.
    """
    splits = table.splits or ()
    train = [row for row, split in enumerate(splits) if split in TRAIN_SPLITS]
    test = [row for row, split in enumerate(splits) if split in TEST_SPLITS]
    if not train or not test:
        return None
    same, nearly = (_matches(texts, train, test) for texts in _forms(table.prompts))
    found = _repeats(table, same, nearly)
    return Leaks(len(test), len(train), found.exact, found.near, found.examples)


def duplicates_of(table: OutcomeTable) -> Repeats:
    """Rows whose prompt an earlier row has, whatever their splits."""
    same, nearly = (_earlier(texts) for texts in _forms(table.prompts))
    return _repeats(table, same, nearly)


def same_form(prompt: str) -> str:
    """What prompts that are the same have in common."""
    return " ".join(prompt.casefold().split())


def near_form(prompt: str) -> str:
    """What prompts that are nearly the same have in common; empty where there is not one letter."""
    return " ".join(_MARKS.sub(" ", prompt).casefold().split())


def _forms(prompts: Sequence[str]) -> tuple[list[str], list[str]]:
    return [same_form(prompt) for prompt in prompts], [near_form(prompt) for prompt in prompts]


def _matches(texts: Sequence[str], train: Iterable[int], test: Iterable[int]) -> dict[int, int]:
    """By row of `test` the first row of `train` with its text."""
    firsts: dict[str, int] = {}
    for row in train:
        firsts.setdefault(texts[row], row)
    return {row: firsts[texts[row]] for row in test if texts[row] and texts[row] in firsts}


def _earlier(texts: Sequence[str]) -> dict[int, int]:
    """By row the first row with its text, where that is an earlier one."""
    firsts: dict[str, int] = {}
    at = [firsts.setdefault(text, row) for row, text in enumerate(texts)]
    return {row: first for row, first in enumerate(at) if first != row and texts[row]}


def _repeats(table: OutcomeTable, same: dict[int, int], nearly: dict[int, int]) -> Repeats:
    near = {row: first for row, first in nearly.items() if row not in same}
    pairs = [*same.items(), *near.items()][:NAMED]
    examples = tuple((table.ids[row], table.ids[first]) for row, first in pairs)
    return Repeats(len(same), len(near), examples)
