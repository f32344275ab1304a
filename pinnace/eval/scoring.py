"""Scoring rules: is this answer right? By name, pure, 1.0 or 0.0; NaN where there is nothing to compare with.

Each rule is a fixed reading of free text and is wrong on some answers; none asks a model. What a rule
takes as the model's answer is said in its docstring.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from math import nan
from typing import Literal

RuleName = Literal["number", "choice", "boolean", "label", "contains", "none"]
Rule = Callable[[str, str, Sequence[str]], float]

LETTERS = "ABCDEFGHIJ"

_NUMBER = re.compile(
    r"(?<![0-9])(?:(?<![)\]])[-−])?\$?(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?"
    r"|(?<![\w.])[-−]?\$?\.[0-9]+"
)
_BOOLEAN = re.compile(r"(?P<denied>\bnot\s+|n't\s+)?\b(?P<word>true|yes|false|no)\b", re.IGNORECASE)

# A letter that names an option. A and I are also words, so something must close them; small letters too.
_CLOSED = r"(?=\s*(?:[.,:;)\]*\"'}\n-]|$))"
_LETTER = rf"(?:[AI](?=\s+(?:is|because)\b)|[AI]{_CLOSED}|[B-HJ]\b)"
_OPENING = re.compile(rf"[\W_]*(?P<letter>{_LETTER}|[a-j](?=[).:]|\s*$))")
_NAMED = re.compile(
    r"\b(?i:answer|option|choice|letter)(?:\s+(?i:is|was|would be))?\s*:?[\s*(\"'\[]*"
    rf"(?P<letter>{_LETTER}|[b-j]{_CLOSED})"
)
_SET_OFF = re.compile(r"\b(?P<letter>[A-J])(?=[).:*])")


def score(rule: RuleName, answer: str, expected: str, choices: Sequence[str] = ()) -> float:
    """Score one answer: 1.0 right, 0.0 wrong, NaN where the rule is `none`.

    :param expected: the gold answer: a number, a letter (`choice`), true/false or yes/no, a label, or text.
    :param choices: the options in the order of their letters (`choice`), or the closed list (`label`).
    """
    return RULES[rule](answer, expected, choices)


def words(text: str) -> tuple[str, ...]:
    """The words of `text` for comparison: lower case, no punctuation, accents in one form."""
    return tuple(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold().replace("_", " ")))


def by_number(answer: str, expected: str, choices: Sequence[str] = ()) -> float:
    """Right when the last number in the answer equals the gold one; $ , and a trailing .0 do not matter."""
    said, gold = _last_number(answer), _last_number(expected)
    return float(gold is not None and said == gold)


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


def by_boolean(answer: str, expected: str, choices: Sequence[str] = ()) -> float:
    """Right when the first of true, yes, false, no in the answer agrees with the gold one."""
    said = _truth(answer)
    return float(said is not None and said == _truth(expected))


def by_label(answer: str, expected: str, choices: Sequence[str]) -> float:
    """Right when the first label of the closed list that the answer names is the gold one."""
    said = words(answer)
    found = [(at, -len(words(label)), label) for label in choices if (at := _find(words(label), said)) >= 0]
    return float(bool(found) and words(min(found)[2]) == words(expected))


def by_contains(answer: str, expected: str, choices: Sequence[str] = ()) -> float:
    """Right when the gold text stands in the answer as whole words; articles and plural s do not matter."""
    return float(_find(_plain(expected), _plain(answer)) >= 0)


def by_nothing(answer: str, expected: str, choices: Sequence[str] = ()) -> float:
    """No gold answer: NaN."""
    return nan


RULES: Mapping[RuleName, Rule] = {
    "number": by_number,
    "choice": by_choice,
    "boolean": by_boolean,
    "label": by_label,
    "contains": by_contains,
    "none": by_nothing,
}


def _last_number(text: str) -> Decimal | None:
    found: list[str] = _NUMBER.findall(text)
    if not found:
        return None
    return Decimal(found[-1].replace("−", "-").replace("$", "").replace(",", ""))


def _truth(text: str) -> bool | None:
    match = _BOOLEAN.search(text)
    if match is None:
        return None
    return (match["word"].lower() in ("true", "yes")) != bool(match["denied"])


def _letter(match: re.Match[str] | None, letters: str) -> str | None:
    letter = match["letter"].upper() if match else ""
    return letter if letter and letter in letters else None


def _option_in(answer: str, choices: Sequence[str]) -> str | None:
    said = words(answer)
    inside = {i: words(option) for i, option in enumerate(choices) if _find(words(option), said) >= 0}
    longest = [i for i, option in inside.items() if not any(_is_part(option, o) for o in inside.values())]
    return LETTERS[longest[0]] if len(longest) == 1 else None


def _only_letter(answer: str, letters: str) -> str | None:
    found = {letter for match in _SET_OFF.finditer(answer) if (letter := _letter(match, letters))}
    return found.pop() if len(found) == 1 else None


def _plain(text: str) -> tuple[str, ...]:
    kept = (word for word in words(text) if word not in ("a", "an", "the"))
    return tuple(w[:-1] if len(w) > 3 and w.endswith("s") and not w.endswith("ss") else w for w in kept)


def _is_part(part: Sequence[str], whole: Sequence[str]) -> bool:
    return len(part) < len(whole) and _find(part, whole) >= 0


def _find(part: Sequence[str], whole: Sequence[str]) -> int:
    """Where the words `part` stand in `whole`; -1 where they do not, or there are none."""
    if not part:
        return -1
    starts = (i for i in range(len(whole) - len(part) + 1) if tuple(whole[i : i + len(part)]) == tuple(part))
    return next(starts, -1)
