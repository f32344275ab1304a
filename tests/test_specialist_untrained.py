"""What a specialist's training held back, told again from its rows."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_llama import make_tiny_llama

from pinnace.models.training.rows import checked_rows
from pinnace.models.training.settings import TrainingSettings
from pinnace.models.training.train import train

pytest.importorskip("peft")

TOOLS = Path(__file__).resolve().parent.parent / "tools" / "specialists"
ROWS = checked_rows(
    [{"prompt": f"Number {n % 30}?", "answer": "odd" if n % 2 else "even"} for n in range(40)]
)


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(TOOLS))
    module = importlib.import_module("untrained")
    monkeypatch.delitem(sys.modules, "untrained")
    return module


def test_it_tells_the_prompts_that_were_held_back_and_refuses_other_rows(tool: Any, tmp_path: Path) -> None:
    base = make_tiny_llama(tmp_path / "base")
    settings = TrainingSettings(epochs=1, batch=8, held_back=0.2, max_tokens=64, piece_tokens=256)
    report = train(ROWS, base, tmp_path / "a", settings, device="cpu", dtype="float32", threads=1)
    found = tool.untrained(tmp_path / "a", ROWS, base)
    assert len(found) == len(set(found)) == 6
    held = [row for row in ROWS.kept if row.prompt in found]
    assert len(held) == report.held
    with pytest.raises(ValueError, match="expected an adapter that was trained on these rows, got another"):
        tool.untrained(tmp_path / "a", replace(ROWS, kept=ROWS.kept[1:]), base)
    with pytest.raises(ValueError, match="got another"):
        tool.untrained(tmp_path / "nowhere", ROWS, base)
    (tmp_path / "mean").mkdir()
    (tmp_path / "mean" / "training.json").write_text('{"mean_of": []}', encoding="utf-8")
    with pytest.raises(ValueError, match="got another"):
        tool.untrained(tmp_path / "mean", ROWS, base)
    train(
        ROWS, base, tmp_path / "b", settings, begin=tmp_path / "a", device="cpu", dtype="float32", threads=1
    )
    with pytest.raises(ValueError, match="got another"):
        tool.untrained(tmp_path / "b", ROWS, base)
