"""How far two answers to one question say the same: a proxy for a score where the other is good. Pure.

Knows neither the question nor which of the two is right.
"""

from collections import Counter

from pinnace.eval.scoring import words
from pinnace.router.agreement import plain_answer


def likeness(answer: str, reference: str) -> float:
    """How far two answers say the same, 0 to 1: letters and numbers do or do not, words by token F1."""
    said, expected = plain_answer(answer), plain_answer(reference)
    if said == expected:
        return 1.0
    if _is_closed(said) and _is_closed(expected):
        return 0.0
    ours, theirs = Counter(words(answer)), Counter(words(reference))
    shared = (ours & theirs).total()
    return 2 * shared / (ours.total() + theirs.total()) if shared else 0.0


def _is_closed(answer: str) -> bool:
    """Whether an answer in its plain form is a letter or a number."""
    return answer.startswith(("letter ", "number "))
