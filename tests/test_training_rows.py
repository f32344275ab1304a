"""Rows to train on: what is kept, what is refused and how it is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from pinnace.errors import TrainingRowsError
from pinnace.models.training.rows import MOST_CHARACTERS, TrainingRow, checked_rows, read_rows

GOOD = [{"prompt": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(100)]
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}


def refusal(row: object, **options: Any) -> str:
    """Why `row`, the second of many, is refused; the others are kept."""
    found = checked_rows([GOOD[0], row, *GOOD[1:]], **options)
    assert found.kept == tuple(TrainingRow(each["prompt"], each["answer"]) for each in GOOD)
    assert [each.number for each in found.refused] == [2]
    assert found.numbers() == [1, *range(3, 102)]
    return found.refused[0].why


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"prompt": "", "answer": "a"}, "prompt: empty"),
        ({"prompt": " \n\t", "answer": "a"}, "prompt: empty"),
        ({"prompt": "a", "answer": ""}, "answer: empty"),
        ({"prompt": "a"}, "answer: expected text, got nothing"),
        ({"answer": "a"}, "prompt: expected text, got nothing"),
        ({"prompt": 7, "answer": "a"}, "prompt: expected text, got 7"),
        ({"prompt": "a", "answer": ["b"]}, "answer: expected text, got ['b']"),
        (["a", "b"], "expected an object with prompt and answer, got ['a', 'b']"),
        (None, "expected an object with prompt and answer, got None"),
        ({"prompt": "a\0b", "answer": "a"}, "prompt: binary or control character '\\x00'"),
        ({"prompt": "a", "answer": "\x1b[31m"}, "answer: binary or control character '\\x1b'"),
        ({"prompt": "\ud800", "answer": "a"}, "prompt: binary or control character '\\ud800'"),
        ({"prompt": "a\ufffd", "answer": "a"}, "prompt: binary or control character '\ufffd'"),
        ({"prompt": "a\u202eb", "answer": "a"}, "prompt: binary or control character '\\u202e'"),
        ({"prompt": "a\U000e0041", "answer": "a"}, "prompt: binary or control character '\\U000e0041'"),
        ({"prompt": "a\U0010f000", "answer": "a"}, "prompt: binary or control character '\\U0010f000'"),
        ({"prompt": "a<|im_end|>\n", "answer": "a"}, "prompt: spells the control token '<|im_end|>'"),
        ({"prompt": "a", "answer": "b<|im_start|>system"}, "answer: spells the control token '<|im_start|>'"),
        ({"prompt": "[INST] a", "answer": "b"}, "prompt: spells the control token '[INST]'"),
        ({"prompt": "a", "answer": "b</s>"}, "answer: spells the control token '</s>'"),
        ({"prompt": "a", "answer": "b", "system": "<|eot_id|>"}, "system: spells the control token '<|eot"),
        ({"prompt": "a", "answer": "b", "label": 1, "zeal": 2}, "unknown fields: label, zeal; there are:"),
        ({"prompt": "a", "answer": "b", "tools": [{"name": "x"}]}, "tools: expected a list of {type: func"),
        ({"prompt": "a", "answer": "b", "tools": []}, "tools: expected a list of {type: function,"),
        ({"prompt": "a", "answer": "b", "tool_choice": "add"}, "tool_choice: expected 'auto' or 'required'"),
    ],
)  # fmt: skip
def test_a_poisoned_row_is_refused_by_its_number_and_why(row: object, why: str) -> None:
    assert refusal(row).startswith(why)


def test_a_huge_row_is_refused() -> None:
    long = "a" * (MOST_CHARACTERS + 1)
    why = f"prompt: huge: expected at most {MOST_CHARACTERS} characters, got {MOST_CHARACTERS + 1}"
    assert refusal({"prompt": long, "answer": "b"}) == why


def test_control_tokens_of_the_base_are_refused_as_well() -> None:
    def spells(text: str) -> str | None:
        return "<file_sep>" if "<file_sep>" in text else None

    row = {"prompt": "a<file_sep>b", "answer": "c"}
    assert refusal(row, spells=spells) == "prompt: spells the control token '<file_sep>'"
    assert checked_rows([row]).kept[0].prompt == "a<file_sep>b"


def test_text_of_many_kinds_is_kept() -> None:
    texts = ["Grüße\n\tan 你好", "👩‍🔬 <b>a</b> 1 < 2 |> 3", "if a<|b: c", "r\r\n", "שלום ‏"]
    rows = [{"prompt": text, "answer": text} for text in texts]
    assert [row.prompt for row in checked_rows(rows).kept] == texts


def test_tools_are_kept_as_a_request_brings_them() -> None:
    row = {"prompt": "a", "answer": "b", "tools": [TOOL], "tool_choice": "required", "system": "Be brief."}
    assert checked_rows([row]).kept == (TrainingRow("a", "b", "Be brief.", (TOOL,), "required"),)


def test_lines_that_cannot_be_read_are_refused_and_the_others_kept(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    good = [json.dumps(row).encode() for row in GOOD]
    huge = b'{"prompt": "' + b"a" * 1_000_000 + b'", "answer": "b"}'
    deep = b"[" * 100_000
    path.write_bytes(b"\n".join([*good, b"\x80\x81\xff", b"{", huge, deep, b"", good[0]]))
    found = read_rows(path)
    assert len(found.kept) == 101
    assert [each.number for each in found.refused] == [101, 102, 103, 104]
    assert [each.why.split(",")[0].split(" in")[0] for each in found.refused] == [
        "expected a JSON object",
        "expected a JSON object",
        "huge: expected a line of at most 131072 bytes",
        "expected a JSON object",
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "expected rows of prompt and answer, got none"),
        ([{"prompt": ""}], "at most 5% of the rows to be refused, got 1 of 1:\n  row 1: prompt: empty"),
        ([*GOOD[:10], {}], "at most 5% of the rows to be refused, got 1 of 11:\n  row 11: prompt: expected"),
    ],
)  # fmt: skip
def test_a_file_of_wrong_rows_is_refused_whole(rows: list[object], message: str) -> None:
    with pytest.raises(TrainingRowsError) as caught:
        checked_rows(rows)
    assert message in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingRowsError, match=r"none\.jsonl: rows not readable: No such file"):
        read_rows(tmp_path / "none.jsonl")
