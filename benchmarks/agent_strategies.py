"""Strategies on word problems: single, votes, best of n and thinking at the beginning, at what they cost.

    .venv/bin/python benchmarks/agent_strategies.py [--items 500] [--model numbers] [--suite svamp]

One local model of `router.yaml`, in this process, answers every item once at temperature 0 and 16 times at
that of votes. The strategies then run on these samples, which are dealt out to them: a beginning is the first
tokens of a sample, and going on gives its rest. So all of them are compared on the same samples, and each on
as many disjoint hands as 16 samples are good for. The first rows stand at their own budgets; in the others
thinking at the beginning has the tokens of a vote of 4 and of 8: how many beginnings it may have, and how
many of them it may finish, is reckoned from the length of the single answers. Prints JSON: the share that is
right with its interval, tokens written per item, and for each strategy its gain over the single answer and
over the random ranking, paired by item.
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

from pinnace.agents import (
    Asking,
    Choice,
    Drawn,
    Fleet,
    Rank,
    Session,
    Step,
    Strategy,
    at_random,
    best_of,
    by_depth,
    likeliest,
    think_at,
    vote,
)
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
SAMPLES = 16
CONTROL = "think_at, random"
Samples = Sequence[Drawn[str]]


@dataclass(frozen=True, slots=True)
class Run:
    """What one strategy came to: `right` and `tokens` written are (items,), means over its hands."""

    right: np.ndarray
    tokens: np.ndarray


def said(text: str) -> str:
    """What answers are counted as in a vote: the last number of each."""
    return str(last_number(text))


async def pooled(asking: Asking[str], /) -> Choice[str]:
    """Draw all samples, and keep them for later."""
    drawn = await asking.draw(SAMPLES, temperature=0.8, top_logprobs=20, is_judged=False)
    return Choice(replace(drawn[0], value=drawn), None, "kept")  # type: ignore[arg-type]


class Hand:
    """An `Asking` whose answers are samples that were drawn before; `tokens` counts what it gave of them."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._whole: dict[int, Drawn[str]] = {}
        self.tokens = 0

    async def draw(self, n: int = 1, *, max_tokens: int | None = None, **_: Any) -> Samples:
        """The first `n` samples, or their beginnings."""
        begun = [_cut(each, max_tokens) for each in self._samples[:n]]
        assert len(begun) == n, f"expected a hand of {n}, got {len(begun)}"
        self._whole = {id(each): whole for each, whole in zip(begun, self._samples, strict=False)}
        self.tokens += sum(len(each.sample.logprobs) for each in begun)
        return begun

    async def go_on(self, beginnings: Samples, **_: Any) -> Samples:
        """Their rests."""
        whole = [self._whole[id(each)] for each in beginnings]
        for begun, each in zip(beginnings, whole, strict=True):
            self.tokens += len(each.sample.logprobs) - len(begun.sample.logprobs)
        return whole


def _cut(drawn: Drawn[str], tokens: int | None) -> Drawn[str]:
    sample = drawn.sample
    if tokens is None or len(sample.logprobs) <= tokens:
        return replace(drawn)
    kept = sample.logprobs[:tokens]
    text = "".join(each.token for each in kept)
    return replace(
        drawn, value=text, sample=replace(sample, text=text, logprobs=kept, finish_reason="length")
    )


async def run(strategy: Strategy, n: int, pool: Sequence[Samples], examples: Sequence[Example]) -> Run:
    """Deal each item's samples into hands of `n`, and let `strategy` choose from each."""
    right, tokens = np.zeros(len(pool)), np.zeros(len(pool))
    for at, (samples, example) in enumerate(zip(pool, examples, strict=True)):
        hands = [Hand(samples[first : first + n]) for first in range(0, SAMPLES - n + 1, n)]
        chosen = [(await strategy(hand)).drawn.sample.text for hand in hands]
        right[at] = mean(score(example.rule, text, example.expected, example.choices) for text in chosen)
        tokens[at] = mean(hand.tokens for hand in hands)
    return Run(right, tokens)


def thinking(length: float, answers: int) -> tuple[int, int, int]:
    """Beginnings, their tokens, and how many to finish, for the tokens of `answers` whole answers.

    Twice as many beginnings as a vote has answers, each a third of an answer long.
    """
    prefix = max(round(length / 3), 1)
    n = 2 * answers
    keep = round((answers * length - n * prefix) / (length - prefix))
    return n, prefix, max(1, min(keep, n - 1))


def strategies(length: float, ranks: Mapping[str, Rank]) -> dict[str, dict[str, tuple[Strategy, int]]]:
    """Groups of strategies by name, each with how many samples it draws."""
    prefix = max(round(length / 3), 1)
    own: dict[str, tuple[Strategy, int]] = {
        "vote 4": (vote(4, said), 4),
        "vote 8": (vote(8, said), 8),
        "vote 8, weighted": (vote(8, said, weighted=True), 8),
        "best of 8, log-probability": (best_of(8), 8),
    }
    own |= {name: (think_at(8, prefix, 4, rank, key=said), 8) for name, rank in ranks.items()}
    found = {"own": own}
    for answers in (4, 8):
        n, prefix, keep = thinking(length, answers)
        found[f"as vote {answers}"] = {
            f"vote {answers}": (vote(answers, said), answers),
            f"best of {answers}, log-probability": (best_of(answers), answers),
            **{name: (think_at(n, prefix, keep, rank, key=said), n) for name, rank in ranks.items()},
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
    return told | {"tokens_per_item": round(found.tokens.mean(), 1)}


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


def remembered(rank: Rank) -> Rank:
    """`rank`, which is asked once for each beginning."""
    known: dict[tuple[Any, str], float] = {}

    async def ranked(beginnings: Sequence[Drawn[Any]]) -> Sequence[float]:
        missing = [each for each in beginnings if (each.asked[-1].content, each.sample.text) not in known]
        ranks = await rank(missing) if missing else ()  # type: ignore[misc]
        for each, found in zip(missing, ranks, strict=True):
            known[each.asked[-1].content, each.sample.text] = found
        return [known[each.asked[-1].content, each.sample.text] for each in beginnings]

    return ranked


async def sampled(
    options: argparse.Namespace, examples: Sequence[Example]
) -> tuple[Run, list[Samples], dict[str, float]]:
    """The single answers, the samples of each item, and the seconds that both took."""
    step = Step(model=options.model, max_tokens=options.max_tokens, name="solve")
    single = replace(step, temperature=0)

    async def alone(session: Session, example: Example) -> tuple[float, int]:
        answer = await session.answer(single, example.prompt)
        right = score(example.rule, answer.text, example.expected, example.choices)
        return right, session.trace.spans()[-1].completion_tokens

    async def draw(session: Session, example: Example) -> Samples:
        return (await session.answer(replace(step, strategy=pooled), example.prompt)).value  # type: ignore[return-value]

    async with Fleet.load(options.config) as fleet:
        began = perf_counter()
        pool = await fleet.map(draw, examples, at_once=options.at_once)
        drawn = perf_counter()
        told({"samples": len(pool) * SAMPLES, "seconds": drawn - began})
        right, tokens = zip(*await fleet.map(alone, examples, at_once=options.at_once), strict=True)
        seconds = {"samples": drawn - began, "single": perf_counter() - drawn}
    return Run(np.array(right, float), np.array(tokens, float)), pool, seconds


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run it all."""
    every = [each for each in read_suite(options.suite, options.data) if each.task == options.suite]
    examples = sample(every, options.items, seed=0)
    weights = draw_weights(len(examples), DRAWS, seed=0)
    ranks: dict[str, Rank] = {
        "think_at, log-probability": likeliest,
        "think_at, deep-thinking ratio": remembered(by_depth(reader_of(options.config, options.model))),
        CONTROL: at_random(),
    }
    alone, pool, seconds = await sampled(options, examples)
    length = float(alone.tokens.mean())
    groups = {"single": [row("single, temperature 0", alone, {}, weights)]}
    told(groups["single"][0])
    for group, named in strategies(length, ranks).items():
        found: dict[str, Run] = {}
        for name, (strategy, n) in named.items():
            began = perf_counter()
            found[name] = await run(strategy, n, pool, examples)
            seconds[f"{group}: {name}"] = perf_counter() - began
            told(row(name, found[name], {"single": alone}, weights))
        others = {"single": alone, CONTROL: found[CONTROL]}
        groups[group] = [row(name, each, others, weights) for name, each in found.items()]
    return {
        "hardware": hardware(),
        "command": " ".join(sys.argv),
        "suite": options.suite,
        "model": options.model,
        "items": len(examples),
        "single_tokens": round(length, 2),
        "thinking": {f"as vote {n}": thinking(length, n) for n in (4, 8)},
        "groups": groups,
        "seconds": {name: round(each, 1) for name, each in seconds.items()},
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
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/tasks"))
    parser.add_argument("--config", type=Path, default=Path("router.yaml"))
    print(json.dumps(asyncio.run(measure(parser.parse_args())), indent=1, default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main())
