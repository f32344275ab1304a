"""Writes what a specialist gets wrong: rows, and wrong answers to them that it writes itself.

    python tools/specialists/own_mistakes.py adapters/tool_calls rows.jsonl -o pairs.jsonl

It is sampled as it serves, held to the schemas of the tools. JSON lines of a row and its `rejected`, as
`preferred.py` trains on them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Hashable, Sequence
from dataclasses import asdict
from pathlib import Path

from whole_file import write_rows

from pinnace.config import AdapterMember, Config, load_config
from pinnace.errors import PinnaceError
from pinnace.models.fleet import Fleet
from pinnace.models.tokens import ChatTokenizer
from pinnace.models.tool_turns import AFTER_NAME, CLOSING, OPENING
from pinnace.models.training.preference_pairs import PreferencePair, preference_pairs, sample_answers
from pinnace.models.training.rows import TrainingRow, read_rows
from pinnace.models.weights import default_cache, resolve_weights

NAME = "specialist"


def is_right(row: TrainingRow, answer: str) -> float:
    """Whether an answer says what the row's does: the same call, however its JSON is written; else the text.

    Of rows where no call is right any text is right.
    """
    wanted, got = _said(row.answer), _said(answer)
    return float(wanted == got)


def _said(answer: str) -> Hashable:
    if not answer.startswith(OPENING):
        return "no call"
    name, _, rest = answer.removeprefix(OPENING).partition(AFTER_NAME)
    try:
        return name, json.dumps(json.loads(rest.removesuffix(CLOSING), parse_int=float), sort_keys=True)
    except ValueError:
        return name, rest


def fleet_of(config: Config, base: str, adapter: Path) -> Fleet:
    """The base and the specialist alone.

    :raises PinnaceError: when the configuration has no such base.
    """
    members = [member for member in config.fleet if member.name == base]
    if not members:
        raise PinnaceError(f"--base: expected a member of the fleet, got {base!r}")
    specialist = AdapterMember(name=NAME, backend="vllm", base=base, adapter=str(adapter.absolute()))
    return Fleet.from_config(config.model_copy(update={"fleet": (*members, specialist)}))


async def mistakes(
    fleet: Fleet, rows: Sequence[TrainingRow], *, samples: int, temperature: float, seed: int
) -> tuple[PreferencePair, ...]:
    """The rows with what the fleet's specialist writes to them and is wrong; starts the fleet and ends it."""
    await fleet.start()
    try:
        backend = fleet.serving(NAME)
        found = await sample_answers(rows, backend, is_right, n=samples, temperature=temperature, seed=seed)
    finally:
        await fleet.drain()
    right = sum(sample.score for sample in found) / max(len(found), 1)
    print(f"{len(found)} answers to {len(rows)} rows, {right:.1%} right", file=sys.stderr)
    return preference_pairs(found)


def main() -> int:
    """Write the pairs, whole or not at all, and return the exit code."""
    parser = argparse.ArgumentParser(description="Write what a specialist gets wrong.")
    parser.add_argument("adapter", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--base", default="smollm2-135m")
    parser.add_argument("-c", "--config", type=Path, default=Path("router.yaml"))
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--most", type=int, default=1000, help="rows that are asked at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", type=Path, required=True)
    given = parser.parse_args()
    try:
        config = load_config(given.config)
        fleet = fleet_of(config, given.base, given.adapter)
        weights = next(member.weights for member in config.fleet if member.name == given.base)  # type: ignore[union-attr]
        folder = resolve_weights(weights, cache=default_cache()).folder
        rows = read_rows(given.rows, spells=ChatTokenizer(folder).spelled).kept[: given.most]
        asked = {"samples": given.samples, "temperature": given.temperature, "seed": given.seed}
        pairs = asyncio.run(mistakes(fleet, rows, **asked))
    except PinnaceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    write_rows(given.out, [{**asdict(pair.row), "rejected": pair.rejected} for pair in pairs])
    print(f"{given.out}: {len(pairs)} pairs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
