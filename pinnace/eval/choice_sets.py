"""Multiple-choice task sets: read, asked with their options, and asked openly without them.

Knows the published forms of ARC, OpenBookQA (instruction form) and MMLU, and nothing of running them.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from pinnace.eval.question import Question
from pinnace.eval.scoring import LETTERS, by_contains
from pinnace.eval.task_rows import Row, json_lines, json_list

Reader = Callable[[Path], Iterator[Question]]

OPEN_WORDS = 3

_INSTRUCTION = re.compile(
    r"Please choose the correct answer to the question: (?P<stem>.*)\n\n"
    r"Answer1: (?P<options>.*)\n\nAnswer format: [a-z0-9/]+",
    re.DOTALL,
)
_MMLU = re.compile(
    r".*?\n\nQuestion: (?P<stem>.*)\n\nOptions:\nA\. (?P<options>.*)\n\nPlease choose.*", re.DOTALL
)
_LEANS_ON_OPTIONS = re.compile(
    r"\b(?:which of|following|these|those|this|above|below|shown|diagram|picture|figure|table|graph|except"
    r"|not|statements?|options?|choices?|best|most|least|examples?|another|set of"
    r"|which (?:is|are|was|were|would|will|could|can|should|does|do|has|have|one|two))\b",
    re.IGNORECASE,
)
_ANSWERS_OPTIONS = re.compile(r"\b(?:all|both|none|neither|above|only|it|they)\b", re.IGNORECASE)


def read_arc(path: Path) -> Iterator[Question]:
    """ARC as JSON lines: `question`, `choices` and `answerKey`; options marked 1 to 4 become A to D."""
    for row in json_lines(path):
        choices, labels = row.texts("choices", "text"), row.texts("choices", "label")
        gold = row.text("answerKey")
        if gold not in labels or len(labels) != len(choices):
            raise row.complaint("answerKey", f"one of {len(choices)} labels {labels!r}", gold)
        yield choice_question(row.text("question"), choices, labels.index(gold))


def read_instructions(path: Path) -> Iterator[Question]:
    """ARC-Easy and OpenBookQA as a JSON list of instructions ("Answer1: ... Answer2: ...")."""
    for row in json_list(path):
        match = _matched(row, _INSTRUCTION)
        choices = tuple(re.split(r"\s*Answer[2-9]: ", match["options"]))
        gold = row.text("answer")
        names = [f"answer{number}" for number in range(1, len(choices) + 1)]
        if gold not in names:
            raise row.complaint("answer", f"one of {names!r}", gold)
        yield choice_question(match["stem"], choices, names.index(gold))


def read_mmlu(path: Path) -> Iterator[Question]:
    """MMLU as JSON lines of `instruction` and `response`, which opens with the gold letter."""
    for row in json_lines(path):
        match = _matched(row, _MMLU)
        choices = tuple(re.split(r"\n[B-D]\. ", match["options"]))
        gold = row.text("response")[:1]
        if len(choices) != 4 or gold not in LETTERS[:4]:
            raise row.complaint("response", "a letter of four options", row.text("response"))
        yield choice_question(match["stem"], choices, LETTERS.index(gold))


def choice_question(stem: str, choices: tuple[str, ...], gold: int) -> Question:
    """A question asked with its options, to be answered with a letter."""
    stem, choices = stem.strip(), tuple(choice.strip() for choice in choices)
    options = "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False))
    prompt = f"{stem}\n{options}\nAnswer with the letter of the right option."
    return Question(stem, prompt, LETTERS[gold], choices)


def asked_openly(read: Reader) -> Reader:
    """A reader of the same questions without their options, where they stand without them."""

    def read_openly(path: Path) -> Iterator[Question]:
        for question in read(path):
            gold = question.choices[LETTERS.index(question.expected)]
            if can_stand_alone(question.text, gold):
                yield Question(question.text, question.text, gold)

    return read_openly


def can_stand_alone(stem: str, gold: str) -> bool:
    """Whether `stem` asks a whole question whose answer is the short text `gold`, options unseen.

    A filter on words, so not a proof: some that pass have other right answers too.
    """
    is_short = 0 < len(gold.split()) <= OPEN_WORDS and not _ANSWERS_OPTIONS.search(gold)
    is_given_away = by_contains(stem, gold) == 1.0
    return stem.endswith("?") and is_short and not is_given_away and not _LEANS_ON_OPTIONS.search(stem)


def _matched(row: Row, form: re.Pattern[str]) -> re.Match[str]:
    text = row.text("instruction")
    match = form.fullmatch(text)
    if match is None:
        raise row.complaint("instruction", "a question with options in the form of this set", text)
    return match
