"""One growth with a real base, a real training and a real engine: on made-up rows that are easily learnt."""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent

PLACES = {
    "orchard": ("apple", "pear", "plum", "cherry"),
    "harbour": ("boat", "ferry", "sail", "anchor"),
    "stable": ("horse", "saddle", "pony", "hay"),
}
ASKED = (
    "where do i bring my {}",
    "somebody left a {} here",
    "who looks after the {}",
    "i need a new {} today",
)


def rows_of(n: int, seed: int) -> list[dict[str, str]]:
    """Requests that go to one of three places by the one word that matters; a number makes each new."""
    draw = random.Random(seed)
    rows: list[dict[str, str]] = []
    for i in range(n):
        place = draw.choice(list(PLACES))
        prompt = f"{draw.choice(ASKED).format(draw.choice(PLACES[place]))}, case {1000 * seed + i}"
        rows.append({"prompt": prompt, "answer": place})
    return rows


def write(path: Path, rows: list[dict[str, str]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def pinnace(folder: Path, *arguments: str) -> Any:
    environ = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    for name in ("PINNACE_LARGE_URL", "PINNACE_LARGE_KEY"):
        environ.pop(name, None)
    command = [sys.executable, "-m", "pinnace", *arguments, "--json"]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.real
def test_a_real_specialist_grows_answers_and_is_taken_back(tmp_path: Path) -> None:
    shutil.copy(ROOT / "router.yaml", tmp_path)
    (tmp_path / "adapters").symlink_to(ROOT / "adapters")
    train, test = (
        write(tmp_path / "train.jsonl", rows_of(330, 1)),
        write(tmp_path / "t.jsonl", rows_of(60, 2)),
    )
    arguments = ("--examples", train, "--holdout", test, "--name", "places", "--epochs", "4")
    told = pinnace(tmp_path, "grow", *arguments)
    assert told["before"]["small_share"] <= 0.2
    assert told["registered"] is True, told
    assert told["small_share"] >= 0.7
    assert told["accuracy"] >= 0.97 * told["teacher_accuracy"]
    route = pinnace(tmp_path, "models", "list")
    assert "places" in json.dumps(route)
    assert pinnace(tmp_path, "grow", "--undo")["removed"] == ["places"]
    assert not (tmp_path / ".pinnace" / "grown" / "current.json").exists()
