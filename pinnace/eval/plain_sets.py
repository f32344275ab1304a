"""Task sets that offer no options: sums, word problems, yes or no, question types, chat.

Knows the published forms of GSM8K, SVAMP, BoolQ, TREC, CLINC150 and MT-Bench, and nothing of running them.
"""

import json
import random
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path

from pinnace.eval.question import Question
from pinnace.eval.task_rows import json_lines, json_list, json_pairs, plain_lines

TREC_LABELS: Mapping[str, str] = {
    "ABBR": "abbreviation",
    "DESC": "description",
    "ENTY": "thing",
    "HUM": "person",
    "LOC": "place",
    "NUM": "number",
}


def read_gsm8k(path: Path) -> Iterator[Question]:
    """GSM8K: the gold number follows `####`."""
    for row in json_lines(path):
        _, mark, gold = row.text("answer").rpartition("####")
        if not mark or not gold.strip():
            raise row.complaint("answer", "a number after '####'", row.text("answer"))
        yield Question(row.text("question"), row.text("question"), gold.strip())


def read_svamp(path: Path) -> Iterator[Question]:
    """SVAMP: `instruction` and the gold number in `answer`."""
    for row in json_list(path):
        yield Question(row.text("instruction"), row.text("instruction"), row.text("answer"))


def read_boolq(path: Path) -> Iterator[Question]:
    """BoolQ without its passages, asked for yes or no."""
    for row in json_list(path):
        match = re.search(r"true or false, question: (.+?)\s*\n\nAnswer format", row.text("instruction"))
        gold = row.text("answer")
        if match is None or gold not in ("true", "false"):
            raise row.complaint(
                "instruction", "a question to be answered true or false", row.text("instruction")
            )
        yield Question(match[1], f"{_capital(match[1])} Answer yes or no.", gold)


def read_trec(path: Path, *, fine: bool) -> Iterator[Question]:
    """TREC question types, coarse labels in words; `fine` where the file has `LABEL:sublabel` before them."""
    kinds = tuple(TREC_LABELS.values())
    for row in plain_lines(path, "latin-1"):
        label, _, rest = row.text("line").partition(":")
        tokens = rest.split()[1:] if fine else rest.split()
        if label not in TREC_LABELS or not tokens:
            raise row.complaint("line", f"LABEL:question with one of {[*TREC_LABELS]!r}", row.text("line"))
        asked = _untokenised(" ".join(tokens))
        among = f"{', '.join(kinds[:-1])} or {kinds[-1]}"
        prompt = f'"{asked}"\nWhat does this question ask for: {among}? Answer with one word.'
        yield Question(asked, prompt, TREC_LABELS[label], kinds)


def read_clinc(path: Path, part: str) -> Iterator[Question]:
    """CLINC150's out-of-scope utterances: open questions with no gold answer."""
    for row in json_pairs(path, part):
        yield Question(row.text("text"), row.text("text"))


def read_mt_bench(path: Path) -> Iterator[Question]:
    """MT-Bench, first turns: no gold answer."""
    for row in json_lines(path):
        turn = row.texts("turns")[0]
        yield Question(turn, turn)


def make_arithmetic(folder: Path, *, n: int = 2000, seed: int = 0) -> Iterator[Question]:
    """Short sums, differences and products whose gold answer is right by construction; reads no file."""
    draw = random.Random(seed)  # noqa: S311
    for _ in range(n):
        sign = draw.choice("+-*")
        digits = (1, 2) if sign == "*" else (1, 2, 3)
        left, right = (draw.randrange(2, 10 ** draw.choice(digits)) for _ in range(2))
        if sign == "-":
            left, right = max(left, right), min(left, right)
        gold = {"+": left + right, "-": left - right, "*": left * right}[sign]
        asked = f"What is {left} {sign} {right}?"
        yield Question(asked, asked, str(gold))


def read_basic_facts(folder: Path) -> Iterator[Question]:
    """The everyday facts that ship with the package (`basic_facts.json`, CC0); reads nothing of `folder`."""
    families = json.loads(files("pinnace.eval").joinpath("basic_facts.json").read_bytes())["families"]
    for family in families:
        for subject, gold in family["facts"].items():
            asked = family["question"].format(subject)
            yield Question(asked, asked, gold)


def _untokenised(text: str) -> str:
    """TREC's spaced-out tokens as a person writes them."""
    text = re.sub(r"``\s*|\s*''(?!\w)", '"', text)
    text = re.sub(r"`\s+(.*?)\s+'(?!\w)", r"'\1'", text)
    return re.sub(r"\s+(?=[?.,;:!]|'\w)", "", text)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
