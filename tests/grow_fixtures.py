"""Growing in a test: a tiny base, a trainer that trains nothing, and scripted members in place of engines.

The scripted trainer writes an adapter that no engine could load; what the candidate answers is a script's.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from tiny_llama import make_tiny_llama

from pinnace.config import Config, ScriptedMember
from pinnace.eval.grow.teacher import Replay
from pinnace.eval.grow.tools import Tools
from pinnace.models.fleet import Fleet
from pinnace.models.scripted import ScriptedBackend
from pinnace.models.training.report import StepTaken, TrainingReport
from pinnace.models.training.rows import TrainingRows
from pinnace.models.training.settings import TrainingSettings
from pinnace.models.training.workshop import Base
from pinnace.router.embedder import HashingEmbedder

ANIMALS = ("cat", "dog", "owl", "fox", "bee")
SOUNDS = ("meow", "woof", "hoot", "bark", "buzz")
EMBEDDER = HashingEmbedder(64)


def rows_of(n: int, start: int = 0) -> list[dict[str, str]]:
    """Animals and what they say."""
    return [
        {"prompt": f"{i} times which sound makes the {ANIMALS[i % 5]}", "answer": SOUNDS[i % 5]}
        for i in range(start, start + n)
    ]


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def place_of(folder: Path, state: Path, **router: Any) -> Path:
    """A configuration of a local base and a scripted large model, beside a fitted state."""
    base = make_tiny_llama(folder / "base")
    fleet = [
        {
            "name": "small",
            "backend": "vllm",
            "weights": [f"path:{base.folder}"],
            "price": {"input": 0.01, "output": 0.02},
        },
        {
            "name": "large",
            "backend": "openai",
            "base_url": "${NOT_SET_ANYWHERE}",
            "model": "m",
            "price": {"input": 2, "output": 8},
            "optional": True,
        },
    ]
    whole = {
        "fleet": fleet,
        "router": {"embedder": "hashing", "state": str(state), **router},
        "ledger": {"path": str(folder / "ledger.sqlite"), "store_text": True},
    }
    path = folder / "router.yaml"
    path.write_text(yaml.safe_dump(whole))
    return path


class ScriptedTrainer:
    """Trains nothing: writes a folder with the names of an adapter, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[TrainingRows] = []

    def __call__(
        self,
        rows: TrainingRows,
        base: Base,
        out: Path,
        settings: TrainingSettings,
        *,
        on_step: Callable[[StepTaken], None],
    ) -> TrainingReport:
        self.asked.append(rows)
        out.mkdir(parents=True, exist_ok=True)
        (out / "adapter_config.json").write_text("{}")
        (out / "adapter_model.safetensors").write_bytes(repr(rows.kept[:1]).encode())
        on_step(StepTaken(1, 1, 0.0, 10, 0.1))
        return TrainingReport(
            *(
                out,
                base.name,
                "b",
                "of",
                {"epochs": settings.epochs},
                len(rows.kept),
                0,
                (),
                10,
                0.1,
                1,
                1,
                (),
            ),
            device="scripted",
        )


def sure_where_right(wrong: int = 0) -> list[dict[str, Any]]:
    """A script that knows the animals' sounds, but for prompts with these digits, of which it is unsure."""
    doubted = [{"when": f"{wrong} times", "answer": "moo", "probability": 0.3}] if wrong else []
    known = [
        {"when": f"the {animal}", "answer": sound, "probability": 0.98}
        for animal, sound in zip(ANIMALS, SOUNDS, strict=True)
    ]
    return [*doubted, *known, {"answer": "meow", "probability": 0.4}]


def scripted_fleets(scripts: Mapping[str, Sequence[Mapping[str, Any]]]) -> Callable[..., Fleet]:
    """Makes fleets whose local members are scripted, each by its name; others say that they do not know."""

    def make(config: Config, members: Sequence[Any], teacher: Replay) -> Fleet:
        backends: dict[str, Any] = {}
        for member in members:
            script = scripts.get(member.name, [{"answer": "no idea", "probability": 0.2}])
            told = ScriptedMember.model_validate(
                {"name": member.name, "backend": "scripted", "script": list(script),
                 "price": {"input": 0.01, "output": 0.02}, "estimates": member.estimates}
            )  # fmt: skip
            backends[member.name] = ScriptedBackend(told)
        return Fleet({**backends, teacher.card.name: teacher})

    return make


def tools_of(place: Path, scripts: Mapping[str, Sequence[Mapping[str, Any]]], **more: Any) -> Tools:
    """Tools of a growth at `place`, without engines and training."""
    tools = Tools(
        base=Base("small", place.parent / "base"),
        count=lambda text: len(text.split()),
        train=ScriptedTrainer(),
        embedder=EMBEDDER,
        make_fleet=scripted_fleets(scripts),
    )
    return replace(tools, **more)


class Silent:
    """Nobody watches."""

    def begin(self, what: str, total: int | None) -> Callable[[int], None]:
        return lambda done: None
