"""Labels and short texts: the whole answer, the first label of a closed list, yes or no, words inside."""

import re
from collections.abc import Sequence

from pinnace.eval.rules.words import find, words

_BOOLEAN = re.compile(r"(?P<denied>\bnot\s+|n't\s+)?\b(?P<word>true|yes|false|no)\b", re.IGNORECASE)


def by_exact(answer: str, expected: str, choices: Sequence[str] = ()) -> float:
    """Right when the answer is the gold text and nothing else; case, punctuation and underscores do not
    matter. Where neither has a word in it, the characters themselves are compared."""
    said, gold = words(answer), words(expected)
    return float(said == gold if said or gold else answer.strip() == expected.strip())


def by_label(answer: str, expected: str, choices: Sequence[str]) -> float:
    """Right when the first label of the closed list that the answer names is the gold one."""
    said = words(answer)
    found = [(at, -len(words(label)), label) for label in choices if (at := find(words(label), said)) >= 0]
    return float(bool(found) and words(min(found)[2]) == words(expected))


def by_boolean(answer: str, expected: str, choices: Sequence[str] = ()) -> float:
    """Right when the first of true, yes, false, no in the answer agrees with the gold one."""
    said = _truth(answer)
    return float(said is not None and said == _truth(expected))


def by_contains(answer: str, expected: str, choices: Sequence[str] = ()) -> float:
    """Right when the gold text stands in the answer as whole words; articles and plural s do not matter."""
    return float(find(_plain(expected), _plain(answer)) >= 0)


def _truth(text: str) -> bool | None:
    match = _BOOLEAN.search(text)
    if match is None:
        return None
    return (match["word"].lower() in ("true", "yes")) != bool(match["denied"])


def _plain(text: str) -> tuple[str, ...]:
    kept = (word for word in words(text) if word not in ("a", "an", "the"))
    return tuple(w[:-1] if len(w) > 3 and w.endswith("s") and not w.endswith("ss") else w for w in kept)
