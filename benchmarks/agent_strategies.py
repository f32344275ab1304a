"""Strategies on word problems: single, votes, best of n and thinking at the beginning, at what they cost.

    .venv/bin/python benchmarks/agent_strategies.py [--items 500] [--model numbers] [--suite svamp]

Each strategy answers the same items with one local model of `router.yaml`, in this process. The first rows
stand at their own budgets. In the second part thinking at the beginning is given the tokens of a vote of 4
and of 8: how many beginnings it may have, and how many of them it may finish, is reckoned from the length of
the single answers. Prints JSON: the share that is right with its interval, tokens written per item, and for
each strategy its gain over the single answer and over the random ranking, paired by item.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import Any

import numpy as np

from pinnace.agents import Fleet, Session, Step, Strategy, best_of, think_at, vote
from pinnace.agents.depth_rank import by_depth
from pinnace.agents.thinking import Rank, at_random, likeliest
from pinnace.bench.hardware import hardware
from pinnace.config import AdapterMember, VllmMember, load_config
from pinnace.eval.bootstrap import Interval, draw_weights, interval, mean_draws, paired_interval
from pinnace.eval.example import Example, sample
from pinnace.eval.rules.number import last_number
from pinnace.eval.scoring import score
from pinnace.eval.suites import read_suite
from pinnace.models.deep_thinking import DeepThinking
from pinnace.models.weights import default_cache, resolve_weights

DRAWS = 2_000
CONTROL = "think_at, random"


@dataclass(frozen=True, slots=True)
class Run:
    """What one strategy came to: `right` is (items,), `tokens` what it wrote for each item."""

    right: np.ndarray
    tokens: np.ndarray
    seconds: float


def said(text: str) -> str:
    """What answers are counted as in a vote: the last number of each."""
    return str(last_number(text))


async def run(fleet: Fleet, step: Step, examples: Sequence[Example], at_once: int) -> Run:
    """Ask every item once."""

    async def ask(session: Session, example: Example) -> tuple[float, int]:
        answer = await session.answer(step, example.prompt)
        written = sum(span.completion_tokens for span in session.trace.spans() if span.kind == "call")
        return score(example.rule, answer.text, example.expected, example.choices), written

    began = perf_counter()
    found = await fleet.map(ask, examples, at_once=at_once)
    right, tokens = zip(*found, strict=True)
    return Run(np.array(right, float), np.array(tokens, float), perf_counter() - began)


def thinking(length: float, answers: int) -> tuple[int, int, int]:
    """Beginnings, their tokens, and how many to finish, for the tokens of `answers` whole answers.

    Twice as many beginnings as a vote has answers, each a third of an answer long.
    """
    prefix = max(round(length / 3), 1)
    n = 2 * answers
    keep = round((answers * length - n * prefix) / (length - prefix))
    return n, prefix, max(1, min(keep, n - 1))


def strategies(length: float, ranks: Mapping[str, Rank]) -> dict[str, dict[str, Strategy]]:
    """Groups of strategies by name: at their own budgets, and at those of votes."""
    prefix = max(round(length / 3), 1)
    own: dict[str, Strategy] = {
        "vote 4": vote(4, said),
        "vote 8": vote(8, said),
        "vote 8, weighted": vote(8, said, weighted=True),
        "best of 8, log-probability": best_of(8),
    }
    own |= {name: think_at(8, prefix, 4, rank, key=said) for name, rank in ranks.items()}
    found = {"own": own}
    for answers in (4, 8):
        n, prefix, keep = thinking(length, answers)
        found[f"as vote {answers}"] = {
            f"best of {answers}, log-probability": best_of(answers),
            **{name: think_at(n, prefix, keep, rank, key=said) for name, rank in ranks.items()},
        }
    return found


def row(name: str, found: Run, others: Mapping[str, Run], weights: Any) -> dict[str, Any]:
    """One row of the table; `others` are what it is compared with, item by item."""
    draws = mean_draws(found.right, weights)
    told = {"strategy": name, "right": told_of(interval(found.right.mean(), draws))}
    for other, against in others.items():
        if against is found:
            continue
        gain = found.right.mean() - against.right.mean()
        told[f"over {other}"] = told_of(
            paired_interval(draws, mean_draws(against.right, weights), value=gain)
        )
    return told | {"tokens_per_item": round(found.tokens.mean(), 1), "seconds": round(found.seconds, 1)}


def told_of(found: Interval) -> list[float]:
    """Value, low and high."""
    return [round(float(each), 4) for each in (found.value, found.low, found.high)]


def reader_of(config: Path, name: str) -> DeepThinking:
    """The model called `name`, to be read layer by layer."""
    members = {each.name: each for each in load_config(config).fleet}
    member = members[name]
    adapter = Path(member.adapter) if isinstance(member, AdapterMember) else None
    base = members[member.base] if isinstance(member, AdapterMember) else member
    assert isinstance(base, VllmMember), f"{name}: expected a local model, got {type(base).__name__}"
    folder = resolve_weights(base.weights, cache=default_cache()).folder
    return DeepThinking(folder, adapter=adapter, system=base.system)


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run it all."""
    every = [each for each in read_suite(options.suite, options.data) if each.task == options.suite]
    examples = sample(every, options.items, seed=0)
    weights = draw_weights(len(examples), DRAWS, seed=0)
    ranks: dict[str, Rank] = {
        "think_at, log-probability": likeliest,
        "think_at, deep-thinking ratio": by_depth(reader_of(options.config, options.model)),
        CONTROL: at_random(),
    }
    step = Step(model=options.model, max_tokens=options.max_tokens, name="solve")
    groups: dict[str, list[dict[str, Any]]] = {}
    async with Fleet.load(options.config) as fleet:
        greedy = Step(model=options.model, max_tokens=options.max_tokens, name="solve", temperature=0)
        alone = await run(fleet, greedy, examples, options.at_once)
        length = mean(alone.tokens)
        runs: dict[str, Run] = {}
        groups["single"] = [row("single, temperature 0", alone, {}, weights)]
        told(groups["single"][0])
        for group, named in strategies(length, ranks).items():
            known = (group.removeprefix("as "), *(name for name in named if name.startswith("best")))
            found = {name: runs[name] for name in known if name in runs}
            for name, strategy in named.items():
                if name in found:
                    continue
                asked = replace(step, strategy=strategy)
                found[name] = await run(fleet, asked, examples, options.at_once)
                told(row(name, found[name], {"single": alone}, weights))
            runs = runs or found
            groups[group] = [
                row(name, each, {"single": alone, CONTROL: found[CONTROL]}, weights)
                for name, each in found.items()
            ]
    return {
        "hardware": hardware(),
        "command": " ".join(sys.argv),
        "suite": options.suite,
        "model": options.model,
        "items": len(examples),
        "single_tokens": round(length, 2),
        "thinking": {f"as vote {n}": thinking(length, n) for n in (4, 8)},
        "groups": groups,
    }


def told(found: Mapping[str, Any]) -> None:
    """A line for who waits."""
    print(json.dumps(found), file=sys.stderr, flush=True)


def main() -> int:
    """Run, and print JSON."""
    parser = argparse.ArgumentParser(description="Strategies on word problems")
    parser.add_argument("--items", type=int, default=500)
    parser.add_argument("--suite", default="svamp")
    parser.add_argument("--model", default="numbers")
    parser.add_argument("--max-tokens", type=int, default=96)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/tasks"))
    parser.add_argument("--config", type=Path, default=Path("router.yaml"))
    print(json.dumps(asyncio.run(measure(parser.parse_args())), indent=1, default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main())
