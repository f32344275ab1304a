"""Scoring: an answer, a rule by its name, 1.0 or 0.0; NaN where there is nothing to compare with.

The rules are in `pinnace.eval.rules` and pure; `code` alone runs something, a subprocess with limits
(`pinnace.eval.code_box`).
"""

from collections.abc import Callable, Mapping, Sequence
from math import nan
from typing import Literal

from pinnace.eval.code_box import passes
from pinnace.eval.rules.calls import by_calls
from pinnace.eval.rules.choice import LETTERS, by_choice
from pinnace.eval.rules.code import program_of
from pinnace.eval.rules.json_equal import by_json
from pinnace.eval.rules.label import by_boolean, by_contains, by_exact, by_label
from pinnace.eval.rules.number import by_number
from pinnace.eval.rules.words import words

RuleName = Literal[
    "number", "choice", "boolean", "label", "exact", "contains", "json", "calls", "code", "none"
]
Rule = Callable[[str, str, Sequence[str]], float]


def score(rule: RuleName, answer: str, expected: str, choices: Sequence[str] = ()) -> float:
    """Score one answer: 1.0 right, 0.0 wrong, NaN where the rule is `none`.

    :param expected: the gold answer, as the rule takes it: a number, a letter (`choice`), true/false or
        yes/no, a label, text, or JSON (`json`, `calls`, `code`).
    :param choices: the options in the order of their letters (`choice`), or the closed list (`label`).
    """
    return RULES[rule](answer, expected, choices)


def by_code(answer: str, expected: str, choices: Sequence[str] = ()) -> float:
    """Right when the code in the answer passes its tests within the limits of the box."""
    return float(passes(program_of(answer, expected)))


def by_nothing(answer: str, expected: str, choices: Sequence[str] = ()) -> float:
    """No gold answer: NaN."""
    return nan


RULES: Mapping[RuleName, Rule] = {
    "number": by_number,
    "choice": by_choice,
    "boolean": by_boolean,
    "label": by_label,
    "exact": by_exact,
    "contains": by_contains,
    "json": by_json,
    "calls": by_calls,
    "code": by_code,
    "none": by_nothing,
}

__all__ = ["LETTERS", "RULES", "Rule", "RuleName", "score", "words"]
