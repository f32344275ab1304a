"""Words of a text, for comparison. Pure."""

import re
import unicodedata
from collections.abc import Sequence


def words(text: str) -> tuple[str, ...]:
    """The words of `text` for comparison: lower case, no punctuation, accents in one form."""
    return tuple(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold().replace("_", " ")))


def find(part: Sequence[str], whole: Sequence[str]) -> int:
    """Where the words `part` stand in `whole`; -1 where they do not, or there are none."""
    if not part:
        return -1
    starts = (i for i in range(len(whole) - len(part) + 1) if tuple(whole[i : i + len(part)]) == tuple(part))
    return next(starts, -1)
