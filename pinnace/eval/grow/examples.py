"""Examples to grow from: what was asked, what the teacher answered, and why a row is refused.

Rows of a file, or whatever else makes mappings of the same keys. What is refused for its form is refused by
`pinnace.models.training.rows`; what is refused for a secret is refused here. Knows no ledger and no model.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from pinnace.eval.grow.redaction import Redacted, Redactor, is_mostly_hidden
from pinnace.models.training.rows import (
    MOST_CHARACTERS,
    MOST_REFUSED,
    Refusal,
    Spells,
    TrainingRow,
    checked_rows,
    read_lines,
)

BESIDE = ("expected", "domain")
"""Fields that a row may have beside those of `pinnace train`."""


@dataclass(frozen=True, slots=True)
class Taught:
    """One prompt and the teacher's answer, as `row` has them.

    `expected` is the right answer, where it is known apart from the teacher's, and `domain` the name of the
    domain, where the row says one.
    """

    row: TrainingRow
    expected: str | None = None
    domain: str | None = None

    @property
    def gold(self) -> str:
        """What answers are scored against."""
        return self.row.answer if self.expected is None else self.expected

    @property
    def id(self) -> str:
        """A name that only the request decides: the same for the same prompt, system turn and tools."""
        told = repr((self.row.prompt, self.row.system, self.row.tools, self.row.tool_choice))
        return f"grown-{sha256(told.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class Examples:
    """The rows that may be used; those refused, by their number; and what was redacted, by kind."""

    kept: tuple[Taught, ...]
    refused: tuple[Refusal, ...] = ()
    redacted: Mapping[str, int] = field(default_factory=dict[str, int])


def read_examples(path: Path, *, spells: Spells = lambda text: None) -> Examples:
    """The rows of a file with one JSON object a line, not redacted yet.

    :param spells: finds the base's own control tokens.
    :raises TrainingRowsError: when the file cannot be read, or is not what it should be.
    """
    return checked_examples(read_lines(path), spells=spells, where=f"{path}: ")


def checked_examples(
    rows: Iterable[object],
    *,
    spells: Spells = lambda text: None,
    most_refused: float = MOST_REFUSED,
    where: str = "",
) -> Examples:
    """The same of rows in memory.

    :raises TrainingRowsError: when there is none, or more than `most_refused` of them are refused.
    """
    beside: list[Mapping[str, Any]] = []

    def plain(row: object) -> object:
        """The row without what is ours; a wrong value of ours stays, so that it is refused as unknown."""
        if not isinstance(row, Mapping):
            beside.append({})
            return row
        fields = cast("Mapping[str, Any]", row)
        ours = {name: fields[name] for name in BESIDE if _is_text(fields.get(name))}
        beside.append(ours)
        return {name: value for name, value in fields.items() if name not in ours}

    found = checked_rows(map(plain, rows), spells=spells, most_refused=most_refused, where=where)
    numbers = zip(found.numbers(), found.kept, strict=True)
    kept = tuple(Taught(row, **beside[number - 1]) for number, row in numbers)
    return Examples(kept, found.refused)


def redacted_examples(examples: Examples, redactor: Redactor) -> Examples:
    """`examples` without secrets and personal identifiers.

    A row that is mostly such is refused, and so is one whose answer held one: a model cannot learn to repeat
    what it is not to know. One that asks what an earlier row of another domain asks is refused too: no router
    can send the same request to two specialists.
    """
    counts: Counter[str] = Counter()
    kept: list[Taught] = []
    gone = {each.number for each in examples.refused}
    numbers = [n for n in range(1, len(examples.kept) + len(gone) + 1) if n not in gone]
    refused = list(examples.refused)
    domains: dict[str, tuple[int, str | None]] = {}
    for number, each in zip(numbers, examples.kept, strict=True):
        texts = {"prompt": each.row.prompt, "answer": each.row.answer, "system": each.row.system or ""}
        found = {name: redactor.redact(text) for name, text in texts.items()}
        if why := _why_refused(texts, found):
            refused.append(Refusal(number, why))
            continue
        clean = _without(each, found)
        first, domain = domains.setdefault(clean.id, (number, clean.domain))
        if domain != clean.domain:
            refused.append(Refusal(number, f"domain: row {first} asks the same in {domain or 'no domain'}"))
            continue
        for one in found.values():
            counts.update(one.found)
        kept.append(clean)
    return Examples(tuple(kept), tuple(sorted(refused, key=lambda one: one.number)), dict(counts))


def _why_refused(texts: Mapping[str, str], found: Mapping[str, Redacted]) -> str:
    if found["answer"].found:
        return f"answer: holds what looks like {_kinds(found['answer'])}, which is not to be learnt"
    if is_mostly_hidden(texts["prompt"], found["prompt"]):
        return f"prompt: is in the main what looks like {_kinds(found['prompt'])}"
    return ""


def _kinds(redacted: Redacted) -> str:
    return ", ".join(kind.lower() for kind in redacted.found)


def _without(each: Taught, found: Mapping[str, Redacted]) -> Taught:
    row = each.row
    if not any(one.found for one in found.values()):
        return each
    system = None if row.system is None else found["system"].text
    clean = TrainingRow(found["prompt"].text, row.answer, system, row.tools, row.tool_choice)
    return Taught(clean, each.expected, each.domain)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value.strip()) > 0 and len(value) <= MOST_CHARACTERS
