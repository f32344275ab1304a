"""The built-in suites: public task sets as prompts that a user might type, with how to score the answers.

A suite reads the files of its set from a folder given to it; none is in the package. `fit` and `held`
keep tests clean: rows of published train (and validation) files are `fit`, those of a test file are
`held`, except where a set has no train file here, or where only its test rows have recorded outcomes of
a large model (GSM8K, ARC-Challenge): of those the half with an even hash of the question is `fit`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from pinnace.errors import TableError
from pinnace.eval.choice_sets import Reader, asked_openly, read_arc, read_instructions, read_mmlu
from pinnace.eval.example import Example, Split, content_id, half_of, without_duplicates
from pinnace.eval.plain_sets import (
    make_arithmetic,
    read_basic_facts,
    read_boolq,
    read_clinc,
    read_gsm8k,
    read_mt_bench,
    read_svamp,
    read_trec,
)
from pinnace.eval.question import Question
from pinnace.eval.scoring import RuleName


@dataclass(frozen=True, slots=True)
class Origin:
    """One file of a task set, the name it has in ids, and which split its rows fall into."""

    name: str
    split: Split | Literal["halves"]
    read: Reader
    file: str = ""


@dataclass(frozen=True, slots=True)
class Suite:
    """A task set as prompts: `max_tokens` is what each answer may take, `rule` how it is scored."""

    name: str
    rule: RuleName
    max_tokens: int
    origins: tuple[Origin, ...]


def read_suite(name: str, folder: Path) -> tuple[Example, ...]:
    """All examples of one suite, each prompt once.

    :param folder: holds the task files under their published names (`gsm8k_train.jsonl`, ...).
    :raises TableError: when there is no such suite, folder or file, or a row is malformed.
    """
    suite = SUITES.get(name)
    if suite is None:
        raise TableError(f"no suite {name!r}; there are: {', '.join(SUITES)}")
    if not folder.is_dir():
        raise TableError(f"{folder}: expected a folder of task files, got none")
    return without_duplicates(
        _example(suite, origin, question)
        for origin in suite.origins
        for question in origin.read(folder / origin.file)
    )


def _example(suite: Suite, origin: Origin, question: Question) -> Example:
    return Example(
        id=content_id(f"{suite.name}-{origin.name}", question.prompt),
        task=suite.name,
        prompt=question.prompt,
        expected=question.expected,
        rule=suite.rule,
        choices=question.choices,
        max_tokens=suite.max_tokens,
        split=half_of(question.text) if origin.split == "halves" else origin.split,
        question=question.text,
    )


_ARC_CHALLENGE = (
    Origin("train", "fit", read_arc, "arc_challenge_arc_train.json"),
    Origin("val", "fit", read_arc, "arc_challenge_arc_val.json"),
    Origin("test", "halves", read_arc, "arc_challenge_arc_test.json"),
)
_ARC_EASY = (Origin("test", "halves", read_instructions, "arc-easy_test.json"),)
_OPENBOOKQA = (Origin("test", "halves", read_instructions, "openbookqa_test.json"),)
_GSM8K = (
    Origin("train", "fit", read_gsm8k, "gsm8k_train.jsonl"),
    Origin("test", "halves", read_gsm8k, "gsm8k_test.jsonl"),
)
_TREC = (
    Origin("train", "fit", partial(read_trec, fine=False), "trec_train.txt"),
    Origin("test", "held", partial(read_trec, fine=True), "trec_test.txt"),
)
_CLINC_FILE = "clinc150_data_full.json"
_CLINC = (
    Origin("train", "fit", partial(read_clinc, part="oos_train"), _CLINC_FILE),
    Origin("val", "fit", partial(read_clinc, part="oos_val"), _CLINC_FILE),
    Origin("test", "held", partial(read_clinc, part="oos_test"), _CLINC_FILE),
)
_OPEN = tuple(
    Origin(f"{name}_{origin.name}", origin.split, asked_openly(origin.read), origin.file)
    for name, origins in (("easy", _ARC_EASY), ("challenge", _ARC_CHALLENGE), ("obqa", _OPENBOOKQA))
    for origin in origins
)

SUITES: Mapping[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite("gsm8k", "number", 256, _GSM8K),
        Suite("svamp", "number", 192, (Origin("test", "halves", read_svamp, "svamp_test.json"),)),
        Suite("arithmetic", "number", 48, (Origin("seeded", "halves", make_arithmetic),)),
        Suite("arc_challenge", "choice", 48, _ARC_CHALLENGE),
        Suite("arc_easy", "choice", 48, _ARC_EASY),
        Suite("openbookqa", "choice", 48, _OPENBOOKQA),
        # RouterDC calls this file train; its rows are of MMLU's published test split.
        Suite("mmlu", "choice", 48, (Origin("test", "halves", read_mmlu, "mmlu_train4000.jsonl"),)),
        Suite("boolq", "boolean", 48, (Origin("test", "halves", read_boolq, "boolq_test.json"),)),
        Suite("trec", "label", 48, _TREC),
        Suite("arc_open", "contains", 64, _OPEN),
        Suite("basic_facts", "contains", 64, (Origin("shipped", "fit", read_basic_facts),)),
        Suite("clinc_oos", "none", 160, _CLINC),
        Suite(
            "mt_bench", "none", 160, (Origin("first", "halves", read_mt_bench, "mt_bench_question.jsonl"),)
        ),
    )
}
