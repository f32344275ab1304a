"""Which multiple-choice questions can be asked without their options. Pure."""

import re

from pinnace.eval.rules.label import by_contains

OPEN_WORDS = 3
_LEANS_ON_OPTIONS = re.compile(
    r"\b(?:which of|following|these|those|this|above|below|shown|diagram|picture|figure|table|graph|except"
    r"|not|statements?|options?|choices?|best|most|least|examples?|another|set of"
    r"|which (?:is|are|was|were|would|will|could|can|should|does|do|has|have|one|two))\b",
    re.IGNORECASE,
)
_ANSWERS_OPTIONS = re.compile(r"\b(?:all|both|none|neither|above|only|it|they)\b", re.IGNORECASE)


def can_stand_alone(stem: str, gold: str) -> bool:
    """Whether `stem` asks a whole question whose answer is the short text `gold`, options unseen.

    A filter on words, so not a proof: some that pass have other right answers too.
    """
    is_short = 0 < len(gold.split()) <= OPEN_WORDS and not _ANSWERS_OPTIONS.search(gold)
    is_given_away = by_contains(stem, gold) == 1.0
    return stem.endswith("?") and is_short and not is_given_away and not _LEANS_ON_OPTIONS.search(stem)
