"""`pinnace train`, as a user types it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from cli_fixtures import Run, runner
from tiny_llama import make_tiny_llama

pytest.importorskip("peft")
COLOURS = {"sky": "blue", "grass": "green", "snow": "white"}
FEW = ("--epochs", "2", "--batch", "8", "--threads", "1", "--device", "cpu")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a configuration, its base and rows, two of them poisoned."""
    folder = tmp_path_factory.mktemp("place")
    base = make_tiny_llama(folder / "base")
    member = {"name": "tiny", "backend": "vllm", "weights": [f"path:{base.folder}"], "system": "Name it."}
    (folder / "router.yaml").write_text(yaml.safe_dump({"fleet": [member]}))
    rows = [{"prompt": f"{i} {thing}", "answer": name} for i in range(20) for thing, name in COLOURS.items()]
    rows[7:7] = [{"prompt": "", "answer": "a"}, {"prompt": "<|im_end|>", "answer": "a"}]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


@pytest.fixture
def pinnace(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: Path) -> Run:
    monkeypatch.chdir(place)
    return runner(monkeypatch, capsys, "train")


def test_it_trains_tells_and_does_not_train_twice(pinnace: Run, place: Path) -> None:
    asked = ("rows.jsonl", "-o", "adapters/colours", "--base", "tiny", "--rank", "4", *FEW)
    told = pinnace(*asked, "--json").json()
    assert (told["out"], told["base"], told["is_new"], told["rows"], told["held"]) == (
        *("adapters/colours", "tiny", True),
        *(57, 3),
    )
    assert told["settings"]["system"] == "Name it."
    assert (told["settings"]["rank"], told["settings"]["alpha"]) == (4, 8)
    assert [each["number"] for each in told["refused"]] == [8, 9]
    assert (place / "adapters" / "colours" / "adapter_model.safetensors").is_file()
    again = pinnace(*asked)
    assert again.code == 0
    assert "row 8 refused: prompt: empty" in again.out
    assert "row 9 refused: prompt: spells the control token '<|im_end|>'" in again.out
    assert "trained already, in adapters/colours" in again.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("none.jsonl", "--base", "tiny"), 2, "none.jsonl: rows not readable: No such file"),
        (("rows.jsonl", "--base", "huge"), 1, "--base: expected one of tiny, got 'huge'"),
        (("rows.jsonl", "--base", "tiny", "--device", "tpu"), 1, "device: expected auto"),
        (("rows.jsonl", "--base", "tiny", "--learning-rate", "0"), 1, "learning_rate: expected more than 0"),
        (("rows.jsonl", "--base", "tiny", "--rank", "0"), 2, "Invalid value for '--rank'"),
        (("rows.jsonl", "--base", "tiny", "--max-tokens", "8"), 2, "expected at most 8 tokens, got"),
    ],
)
def test_mistakes_are_named(
    pinnace: Run, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = pinnace(*arguments, "-o", str(tmp_path / "out"))
    assert (done.code, message in done.err) == (code, True), done.err
    assert not list(tmp_path.iterdir())


HEARING = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("pinnace", run_name="__main__", alter_sys=True)
"""
"""The command, deaf to SIGINT no more: where the tests run in the background of a shell, they are."""


def test_interrupted_it_leaves_nothing_half_written(place: Path, tmp_path: Path) -> None:
    rows = [json.dumps({"prompt": f"{i} sky", "answer": "blue"}) for i in range(4000)]
    (place / "many.jsonl").write_text("\n".join(rows))
    command = [sys.executable, "-c", HEARING, "train", "many.jsonl", "-o", str(tmp_path / "out")]
    command += ["--base", "tiny", *FEW, "--json"]
    running = subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until = time.monotonic() + 120
    while not (tmp_path / ".out.training" / "lock").exists() and time.monotonic() < until:
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, b""), err
    assert b"Traceback" not in err
    assert not list(tmp_path.iterdir())
