"""What a specialist gets wrong, as pairs: what counts as right, and the file between two tools."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_llama import make_tiny_llama

from pinnace.errors import PinnaceError, TrainingRowsError
from pinnace.models.tokens import ChatTokenizer
from pinnace.models.training.preference_pairs import PreferencePair
from pinnace.models.training.rows import TrainingRow

TOOLS = Path(__file__).resolve().parent.parent / "tools" / "specialists"
CALL = '<tool_call>\n{{"name": "{}", "arguments": {}}}\n</tool_call>'
ROW = TrainingRow("Add 2 and 3.", CALL.format("add", '{"a": 2, "b": 3}'), tool_choice="required")
DECLINED = TrainingRow("Sing.", "None of the functions that I have can do that.", tool_choice="auto")


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The modules of tools/specialists."""
    monkeypatch.syspath_prepend(str(TOOLS))
    names = ("whole_file", "own_mistakes", "preferred")
    modules = {name: importlib.import_module(name) for name in names}
    for name in names:
        monkeypatch.delitem(sys.modules, name)
    return type("Tools", (), modules)


@pytest.mark.parametrize(
    ("row", "answer", "right"),
    [
        (ROW, CALL.format("add", '{"b": 3.0, "a": 2}'), 1.0),
        (ROW, CALL.format("add", '{"a": 3, "b": 2}'), 0.0),
        (ROW, CALL.format("sub", '{"a": 2, "b": 3}'), 0.0),
        (ROW, CALL.format("add", '{"a": 2, "b":'), 0.0),
        (ROW, "5", 0.0),
        (DECLINED, "I cannot sing.", 1.0),
        (DECLINED, CALL.format("add", "{}"), 0.0),
    ],
)
def test_what_is_right(tools: Any, row: TrainingRow, answer: str, right: float) -> None:
    assert tools.own_mistakes.is_right(row, answer) == right


def test_pairs_come_through_their_file(tools: Any, tmp_path: Path) -> None:
    tokenizer = ChatTokenizer(make_tiny_llama(tmp_path / "base").folder)
    told = [{"prompt": ROW.prompt, "answer": ROW.answer, "system": None, "tools": [], "rejected": "5"}]
    tools.whole_file.write_rows(tmp_path / "pairs.jsonl", told)
    assert tools.preferred.read_pairs(tmp_path / "pairs.jsonl", tokenizer) == [
        PreferencePair(TrainingRow(ROW.prompt, ROW.answer), "5")
    ]


@pytest.mark.parametrize(
    ("line", "error", "said"),
    [
        ({"prompt": "a", "answer": "b"}, PinnaceError, "line 1: expected a row with a text `rejected`"),
        (["a"], PinnaceError, "line 1: expected a row"),
        ({"prompt": "", "answer": "b", "rejected": "c"}, TrainingRowsError, "row 1"),
    ],
)
def test_lines_that_are_no_pairs_are_refused(
    tools: Any, tmp_path: Path, line: Any, error: type[Exception], said: str
) -> None:
    tokenizer = ChatTokenizer(make_tiny_llama(tmp_path / "base").folder)
    (tmp_path / "pairs.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    with pytest.raises(error, match=said):
        tools.preferred.read_pairs(tmp_path / "pairs.jsonl", tokenizer)
