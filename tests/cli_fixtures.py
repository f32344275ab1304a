"""The command line in a test: run in this process, beside a configuration of a scripted fleet."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from pinnace.cli import main

FLEET = [
    {
        "name": "small",
        "backend": "scripted",
        "script": [
            {"when": "capital of Peru", "answer": "It is Lima.", "probability": 0.97},
            {"when": "figs", "answer": "There are 3 figs.", "probability": 0.9},
            {"answer": "I do not know.", "probability": 0.05},
        ],
        "price": {"input": 0.01, "output": 0.02},
    },
    {
        "name": "large",
        "backend": "scripted",
        "script": [{"answer": "It is 42."}],
        "price": {"input": 2, "output": 8},
    },
    {
        "name": "absent",
        "backend": "openai",
        "base_url": "${NOT_SET_ANYWHERE}",
        "api_key": "sk-s3cr3t",
        "model": "m",
        "optional": True,
    },
]


class Done(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """What it printed, which is one object without NaN."""
        assert self.code == 0, self.err
        return json.loads(self.out, parse_constant=pytest.fail)


Run = Callable[..., Done]


def runner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *command: str) -> Run:
    """Runs `pinnace` and `command` with the arguments that it is given."""
    monkeypatch.setenv("COLUMNS", "220")
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "ERROR")
    monkeypatch.delenv("NOT_SET_ANYWHERE", raising=False)

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["pinnace", *command, *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        return Done(int(left.value.code or 0), *capsys.readouterr())

    return run


def configure(folder: Path, name: str = "router.yaml", **sections: Any) -> Path:
    """Write a configuration; the router's state lies in `state`."""
    router = {"embedder": "hashing", "state": str(folder / "state")}
    whole = {"fleet": FLEET, "router": router, "ledger": {"path": str(folder / "ledger.sqlite")}}
    path = folder / name
    path.write_text(yaml.safe_dump(whole | sections), encoding="utf-8")
    return path
