"""Writes which prompts of a specialist's rows its training held back: none of them was ever learnt.

    python tools/specialists/untrained.py adapters/trec .pinnace/specialists/trec.jsonl -o untrained.jsonl

What a router is fitted on must not have been trained on, or every gate would be too sure. JSON lines of
`prompt`, as `pinnace eval live --only` reads them.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from whole_file import write_rows

from pinnace.config import VllmMember, load_config
from pinnace.errors import PinnaceError
from pinnace.models.adapters.folder import read_report
from pinnace.models.tokens import ChatTokenizer
from pinnace.models.training.row_tokens import token_row
from pinnace.models.training.rows import TrainingRows, read_rows
from pinnace.models.training.settings import TrainingSettings
from pinnace.models.training.train import parted
from pinnace.models.training.workshop import Base, is_trained_from
from pinnace.models.weights import default_cache, resolve_weights


def untrained(adapter: Path, rows: TrainingRows, base: Base) -> list[str]:
    """The prompts that the training of `adapter` on `rows` held back, each once.

    :raises ValueError: when the adapter was trained on other rows, or on another base.
    """
    report = read_report(adapter)
    if report is None or not is_trained_from(report, [asdict(row) for row in rows.kept], base.folder):
        raise ValueError(f"{adapter}: expected an adapter that was trained on these rows, got another")
    told = {key: value for key, value in report["settings"].items() if key != "dtype"}
    settings = TrainingSettings(**{**told, "targets": tuple(told["targets"])})
    tokenizer = ChatTokenizer(base.folder)
    made = [(row.prompt, token_row(row, tokenizer, settings.system)) for row in rows.kept]
    fitting = [(prompt, row.prompt) for prompt, row in made if len(row) <= settings.max_tokens]
    _, held = parted([prompt for prompt, _ in fitting], [ids for _, ids in fitting], settings)
    return list(dict.fromkeys(held))


def main() -> int:
    """Write the prompts, whole or not at all, and return the exit code."""
    parser = argparse.ArgumentParser(description="Write the prompts that a training held back.")
    parser.add_argument("adapter", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--base", default="smollm2-135m")
    parser.add_argument("-c", "--config", type=Path, default=Path("router.yaml"))
    parser.add_argument("-o", "--out", type=Path, required=True)
    given = parser.parse_args()
    try:
        fleet = load_config(given.config).fleet
        member = next(each for each in fleet if each.name == given.base and isinstance(each, VllmMember))
        folder = resolve_weights(member.weights, cache=default_cache()).folder
        rows = read_rows(given.rows, spells=ChatTokenizer(folder).spelled)
        prompts = untrained(given.adapter, rows, Base(given.base, folder))
    except (PinnaceError, ValueError, StopIteration) as error:
        print(f"untrained: {error or f'no vllm member {given.base!r}'}", file=sys.stderr)
        return 1
    write_rows(given.out, [{"prompt": prompt} for prompt in prompts])
    print(f"{given.adapter.name}: {len(prompts)} prompts in {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
