"""Surface marks: what can be counted in a request's text without understanding it. Pure."""

import re
from collections.abc import Sequence
from math import log1p

import numpy as np

from pinnace.router.types import FloatArray

_BRACKETS = re.compile(r"[{}();=<>\[\]]")
_SIGNS = re.compile(r"[$\\^_%+*/=]")
_OPTIONS = re.compile(r"(?m)^[^\S\n]*\(?[A-J][).:]")  # not \s*, which is quadratic over empty lines
_NUMBERS = re.compile(r"\d+")
_CODE = re.compile(r"\bdef |\breturn\b|```|\bclass \w+\(|#include|;\s*$", re.MULTILINE)
_NEGATION = re.compile(r"\b(?:not|except|incorrect|false|least)\b", re.IGNORECASE)
_WIDE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]")
_UPPER = re.compile(r"[A-Z]")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")

MAX_CHARACTERS = 20_000
MARKS = (
    "characters",
    "words",
    "lines",
    "word_length",
    "digits",
    "numbers",
    "upper",
    "beyond_ascii",
    "wide_script",
    "brackets",
    "signs",
    "options",
    "questions",
    "code",
    "negation",
    "quotes",
    "blank",
    "variety",
)


def surface_marks(texts: Sequence[str]) -> FloatArray:
    """The marks of each text, (n, 18), in the order of `MARKS`: counts as log(1 + count), shares in 0..1."""
    return np.array([_marks(text[:MAX_CHARACTERS]) for text in texts]).reshape(len(texts), len(MARKS))


def _marks(text: str) -> list[float]:
    size = max(len(text), 1)
    words = text.split()
    numbers = _NUMBERS.findall(text)
    return [
        log1p(len(text)),
        log1p(len(words)),
        log1p(text.count("\n")),
        size / (len(words) + 1),
        sum(map(len, numbers)) / size,
        log1p(len(numbers)),
        len(_UPPER.findall(text)) / size,
        len(_BEYOND_ASCII.findall(text)) / size,
        len(_WIDE.findall(text)) / size,
        log1p(len(_BRACKETS.findall(text))),
        log1p(len(_SIGNS.findall(text))),
        log1p(len(_OPTIONS.findall(text))),
        log1p(text.count("?")),
        float(_CODE.search(text) is not None),
        float(_NEGATION.search(text) is not None),
        log1p(text.count('"')),
        float("__" in text),
        len(set(words)) / (len(words) + 1),
    ]
