"""Trains an adapter to prefer right answers to wrong ones that it used to write.

    python tools/specialists/preferred.py pairs.jsonl --adapter first -o adapters/tool_calls

The pairs are those of `own_mistakes.py`, or of whoever else knows a wrong answer to a row.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from pinnace.config import load_config
from pinnace.errors import PinnaceError
from pinnace.models.tokens import ChatTokenizer
from pinnace.models.training.preference import SETTINGS, train_preferences
from pinnace.models.training.preference_pairs import PreferencePair
from pinnace.models.training.report import StepTaken
from pinnace.models.training.rows import checked_rows
from pinnace.models.training.workshop import Base
from pinnace.models.weights import default_cache, resolve_weights


def read_pairs(path: Path, tokenizer: ChatTokenizer) -> list[PreferencePair]:
    """The pairs in a file of JSON lines: a row, and the `rejected` answer to it.

    :raises PinnaceError: when a line is none, or its row is refused.
    """
    pairs: list[PreferencePair] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        told = json.loads(line)
        rejected = told.pop("rejected", None) if isinstance(told, dict) else None
        if not isinstance(rejected, str):
            raise PinnaceError(f"{path}: line {number}: expected a row with a text `rejected`")
        row = {key: value for key, value in told.items() if value not in (None, [])}
        kept = checked_rows([row], spells=tokenizer.spelled, most_refused=0).kept
        pairs.append(PreferencePair(kept[0], rejected))
    return pairs


def _shown(step: StepTaken) -> None:
    if step.evaluation is not None or step.step % 10 == 0:
        print(f"step {step.step} of {step.steps}: loss {step.loss:.4f}", file=sys.stderr, flush=True)


def main() -> int:
    """Train, resuming where it was stopped, and return the exit code."""
    parser = argparse.ArgumentParser(description="Train an adapter on pairs of answers.")
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--adapter", type=Path, required=True, help="the one to go on from")
    parser.add_argument("--base", default="smollm2-135m")
    parser.add_argument("-c", "--config", type=Path, default=Path("router.yaml"))
    parser.add_argument("-o", "--out", type=Path, required=True)
    given = parser.parse_args()
    try:
        member = next(each for each in load_config(given.config).fleet if each.name == given.base)
        folder = resolve_weights(member.weights, cache=default_cache()).folder  # type: ignore[union-attr]
        pairs = read_pairs(given.pairs, ChatTokenizer(folder))
        settings = replace(SETTINGS, system=member.system)  # type: ignore[union-attr]
        report = train_preferences(
            pairs, Base(given.base, folder), given.adapter, given.out, settings, on_step=_shown
        )
    except (PinnaceError, StopIteration, ValueError) as error:
        print(f"error: {error or f'no member {given.base!r}'}", file=sys.stderr)
        return 1
    print(json.dumps(report.as_dict()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
