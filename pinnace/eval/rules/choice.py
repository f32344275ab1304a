"""Multiple choice: the option that was named, by its letter or by its text."""

import re
from collections.abc import Sequence

from pinnace.eval.rules.words import find, words

LETTERS = "ABCDEFGHIJ"

# A letter that names an option. A and I are also words, so something must close them; small letters too.
_CLOSED = r"(?=\s*(?:[.,:;)\]*\"'}\n-]|$))"
_LETTER = rf"(?:[AI](?=\s+(?:is|because)\b)|[AI]{_CLOSED}|[B-HJ]\b)"
_OPENING = re.compile(rf"[\W_]*(?P<letter>{_LETTER}|[a-j](?=[).:]|\s*$))")
_NAMED = re.compile(
    r"\b(?i:answer|option|choice|letter)(?:\s+(?i:is|was|would be))?\s*:?[\s*(\"'\[]*"
    rf"(?P<letter>{_LETTER}|[b-j]{_CLOSED})"
)
_SET_OFF = re.compile(r"\b(?P<letter>[A-J])(?=[).:*])")


def by_choice(answer: str, expected: str, choices: Sequence[str]) -> float:
    """Right when the option chosen is the gold letter.

    Taken as chosen, first found: the letter the answer opens with, the letter after "answer is" or
    "option", the one option whose text is in the answer, the only letter set off as (B) or B).
    """
    letters = LETTERS[: len(choices)]
    chosen = (
        _letter(_OPENING.match(answer), letters)
        or _letter(_NAMED.search(answer), letters)
        or _option_in(answer, choices)
        or _only_letter(answer, letters)
    )
    return float(chosen == expected.strip().upper())


def _letter(match: re.Match[str] | None, letters: str) -> str | None:
    letter = match["letter"].upper() if match else ""
    return letter if letter and letter in letters else None


def _option_in(answer: str, choices: Sequence[str]) -> str | None:
    said = words(answer)
    inside = {i: words(option) for i, option in enumerate(choices) if find(words(option), said) >= 0}
    longest = [i for i, option in inside.items() if not any(_is_part(option, o) for o in inside.values())]
    return LETTERS[longest[0]] if len(longest) == 1 else None


def _only_letter(answer: str, letters: str) -> str | None:
    found = {letter for match in _SET_OFF.finditer(answer) if (letter := _letter(match, letters))}
    return found.pop() if len(found) == 1 else None


def _is_part(part: Sequence[str], whole: Sequence[str]) -> bool:
    return len(part) < len(whole) and find(part, whole) >= 0
