"""Agreement between samples: which choices of one request say the same. Pure.

Answers are compared as a person would mark them: by the letter of an option, by the number that they end
with, else by their words. Knows neither the question nor the gold answer, so that answers which differ only
in how they reason before the same number agree, and paraphrases do not.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

END = 200
"""Characters from the end within which a letter or a number is looked for."""

_LETTER = re.compile(
    r"(?:.*\b(?:answer|option|choice)\b(?:\s+is)?)?[^\w]*(?P<letter>[a-j])[^\w]*", re.DOTALL | re.IGNORECASE
)
_NUMBER = re.compile(
    r"(?P<sign>(?<![\w)\]])[-−])?(?P<digits>(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?)"
    r"(?:\s*[^\W0-9_]+)?[^\w]*\Z"
)
_ARTICLES = ("a", "an", "the")


def agreement(texts: Sequence[str]) -> list[float]:
    """Per choice the share of all choices, itself included, that say what it says; 1.0 for one alone.

    Of a choice that is among the most frequent it is the share of the majority (self-consistency, Wang et
    al., ICLR 2023).
    """
    said = [plain_answer(text) for text in texts]
    counts = Counter(said)
    return [counts[answer] / len(said) for answer in said]


def plain_answer(text: str) -> str:
    """What `text` answers, in a form to compare by.

    "(b)" and "The answer is B." are `letter b`; "It costs $1,200.00" and "1200 dollars" are `number 1200`;
    everything else is its words in lower case, without punctuation and articles.
    """
    text = unicodedata.normalize("NFKC", text)
    end = text[-END:]
    if letter := _LETTER.fullmatch(end):
        return f"letter {letter['letter'].lower()}"
    if number := _NUMBER.search(end):
        whole, _, part = number["digits"].replace(",", "").partition(".")
        plain = ".".join(filter(None, (whole.lstrip("0") or "0", part.rstrip("0"))))
        return f"number {'-' if number['sign'] and plain != '0' else ''}{plain}"
    return " ".join(word for word in re.findall(r"\w+", text.casefold()) if word not in _ARTICLES)
