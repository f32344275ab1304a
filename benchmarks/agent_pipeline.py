"""A pipeline of three steps over real utterances: many sessions at once against one after the other.

    .venv/bin/python benchmarks/agent_pipeline.py [--utterances 200] [--alone 40]

Each utterance of CLINC150's test rows is classified (one of its 151 labels), read into fields (JSON of a
schema) and answered with a short reply, by the fleet of `router.yaml` in this process. All sessions at once
are compared with the same pipeline one utterance at a time on some of them, before and after, in one engine.
Prints JSON: the ratio of utterances per second, what the engine alone gains here from as large a batch, how
many outputs were valid, how many labels right, and per step who answered, how surely and for how much.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from pinnace.agents import Fleet, Session, Step
from pinnace.agents.trace import Span
from pinnace.bench.hardware import hardware
from pinnace.errors import OutputError
from pinnace.eval.example import Example, sample
from pinnace.eval.suites import read_suite

ASKED = '"{input}"\nWhich intent does this message have? Answer with its name, or "out of scope".'


class Fields(BaseModel):
    """What a message is about."""

    topic: str = Field(max_length=40)
    is_question: bool
    urgency: int = Field(ge=1, le=5)


class Reply(BaseModel):
    """What is said back."""

    text: str = Field(max_length=120)


def steps_of(labels: Sequence[str]) -> tuple[Step[Any], Step[Fields], Step[Reply]]:
    """The three steps; the first gives one of `labels`."""
    intent = StrEnum("Intent", {f"intent_{at}": label for at, label in enumerate(labels)})
    return (
        Step(template=ASKED, output=intent, name="classify", max_tokens=24, temperature=0),
        Step("Read the message into fields.", output=Fields, name="extract", max_tokens=256, temperature=0),
        Step("Write a short, friendly reply.", output=Reply, name="reply", max_tokens=256, temperature=0),
    )


class Pipeline:
    """The pipeline, and what came of it: `right` labels, `valid` outputs and their traces."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.steps = steps_of(labels)
        self.right: list[bool] = []
        self.valid: list[bool] = []
        self.spans: list[Span] = []

    async def __call__(self, run: Session, example: Example) -> None:
        """One utterance."""
        said = example.question
        classify, extract, reply = self.steps
        for step in (classify, extract, reply):
            try:
                value = await run.ask(step, said)
                self.valid.append(True)
            except OutputError:
                self.valid.append(False)
                continue
            if step is classify:
                self.right.append(str(value) == example.expected)
        self.spans += run.trace.spans()


async def timed(fleet: Fleet, pipeline: Pipeline, examples: Sequence[Example], at_once: int) -> float:
    """Utterances per second."""
    began = time.perf_counter()
    await fleet.map(pipeline, examples, at_once=at_once)
    return len(examples) / (time.perf_counter() - began)


async def engine_gain(fleet: Fleet, examples: Sequence[Example], at_once: int) -> float:
    """What the small model's engine itself gains from a batch here: plain text, no adapter, no grammar."""
    plain = Step("Tell a long story about it.", model="smollm2-135m", max_tokens=48, temperature=0.7)

    async def tell(run: Session, example: Example) -> int:
        await run.ask(plain, example.question)
        return run.trace.totals().tokens

    async def tokens_per_s(chosen: Sequence[Example], at_once: int) -> float:
        began = time.perf_counter()
        return sum(await fleet.map(tell, chosen, at_once=at_once)) / (time.perf_counter() - began)

    alone = await tokens_per_s(examples[: at_once // 8], 1)
    return await tokens_per_s(examples[: 2 * at_once], at_once) / alone


def by_step(spans: Sequence[Span]) -> dict[str, Any]:
    """Who answered each step, how surely, for how much, and how often it climbed."""
    found: dict[str, Any] = {}
    calls = [span for span in spans if span.kind == "call"]
    for name in dict.fromkeys(span.name for span in calls):
        own = [span for span in calls if span.name == name]
        sure = [span.confidence for span in own if span.confidence is not None]
        found[name] = {
            "models": dict(Counter(span.model for span in own)),
            "mean_confidence": round(statistics.mean(sure), 3) if sure else None,
            "usd_per_1000": 1000 * sum(span.usd for span in own) / len(own),
            "climbed": sum(not span.accepted for span in own),
        }
    return found


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run it all."""
    examples = [e for e in read_suite("clinc150", options.data) if e.split == "held" and e.task == "clinc150"]
    labels = examples[0].choices
    chosen = sample(examples, options.utterances, seed=0)
    async with Fleet.load(options.config) as fleet:
        await fleet.map(Pipeline(labels), chosen[:8])  # compiles the grammars
        before = await timed(fleet, Pipeline(labels), chosen[: options.alone], 1)
        pipeline = Pipeline(labels)
        together = await timed(fleet, pipeline, chosen, options.at_once)
        after = await timed(fleet, Pipeline(labels), chosen[: options.alone], 1)
        gain = await engine_gain(fleet, chosen, options.at_once)
    return {
        "hardware": hardware(),
        "command": " ".join(sys.argv),
        "utterances": len(chosen),
        "valid": sum(pipeline.valid) / len(pipeline.valid),
        "labels_right": sum(pipeline.right) / len(chosen),
        "per_second_alone": [before, after],
        "per_second_together": together,
        "ratio": together / statistics.mean([before, after]),
        "engine_gain": gain,
        "steps": by_step(pipeline.spans),
    }


def main() -> int:
    """Run, and print JSON."""
    parser = argparse.ArgumentParser(description="A pipeline, all at once and one at a time")
    parser.add_argument("--utterances", type=int, default=200)
    parser.add_argument("--alone", type=int, default=40)
    parser.add_argument("--at-once", type=int, default=200)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/tasks"))
    parser.add_argument("--config", type=Path, default=Path("router.yaml"))
    print(json.dumps(asyncio.run(measure(parser.parse_args())), indent=1, default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main())
