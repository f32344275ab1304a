"""Writes the cards of the shipped specialists: what they are, were trained on, and score.

    python tools/specialists/cards.py --matrix docs/matrix/figures.json

Settings come from the `training.json` beside each adapter, scores from what `pinnace eval matrix --report`
reported, words from `cards.yaml`; prompts are those of the suites.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from rows import SPECIALISTS
from whole_file import write_whole

from pinnace.eval.example import Example
from pinnace.eval.suites import read_suite

WORDS: Mapping[str, Mapping[str, Any]] = yaml.safe_load(Path(__file__).with_name("cards.yaml").read_bytes())
BASE = "smollm2-135m"
FIVE = f"{BASE}@5"
FIGURES = {
    "accuracy": "accuracy",
    "coverage_97": "share kept at 97 %",
    "scope_auroc": "AUROC of scope",
}


def card(name: str, report: Mapping[str, Any], matrix: Mapping[str, Any], example: Example) -> str:
    """The card of the specialist `name`, in Markdown with the front matter of a hub's model cards.

    :param report: of its training, which may have gone on from another, or of a mean (`averaged.py`).
    :param example: one of its suite's, to show how it is asked.
    """
    words, trainings = WORDS[name], list(trainings_of(report))
    front = {
        "base_model": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "library_name": "peft",
        "license": "apache-2.0",
        "datasets": list(words["datasets"]),
        "language": "en",
        "tags": ["lora", "pinnace", "specialist"],
    }
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---",
        f"# {name}: {words['title']}",
        words["about"],
        f"## How it is asked\n\n```text\n{example.prompt}\n```\n\n{_answer(example)}",
        f"## What it scores\n\n{_scores(name, words['suites'], matrix)}",
        "## What it was trained on\n\n" + _training(words, trainings),
        f"## How\n\n`make specialist-{name}`. {_settings(report, trainings)}",
        f"## Where it ends\n\n{words['limits']}",
        "Licence: Apache-2.0, as the base.",
    ]
    return "\n\n".join(parts) + "\n"


def _answer(example: Example) -> str:
    if example.rule != "calls":
        return f"The answer: `{example.expected}`"
    return "The answer is a call of one of the functions that come with the request (`tools`)."


def _scores(name: str, suites: Sequence[str], matrix: Mapping[str, Any]) -> str:
    lines = [
        "Measured live on rows that were never trained on, with 95 % intervals; "
        f"`{FIVE}` is the base with five solved examples in its prompt.\n",
        "| suite | figure | " + " | ".join((name, BASE, FIVE)) + " |",
        "| --- | --- | --- | --- | --- |",
    ]
    for suite in suites:
        models = matrix["suites"][suite]["models"]
        for key, label in FIGURES.items():
            if key in models.get(name, {}):
                cells = [cell(models.get(model), key) for model in (name, BASE, FIVE)]
                lines.append(f"| {suite} ({models[name]['rows']} rows) | {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(figures: Mapping[str, Any] | None, key: str) -> str:
    """A figure with its interval; empty where there is none."""
    if figures is None or figures.get(key) is None:
        return ""
    return f"{figures[key]:.3f} ({figures[f'{key}_low']:.3f} to {figures[f'{key}_high']:.3f})"


def _training(words: Mapping[str, Any], trainings: Sequence[Mapping[str, Any]]) -> str:
    """What was learnt; of several trainings, what each of them learnt."""
    told = [
        f"{each['rows']:,} rows, and {each['held']} held back, of which "
        f"{each['evaluations'][-1]['held_right']:.1%} were answered to the letter in the end."
        for each in trainings
    ]
    return " ".join((f"{words['data']} ({words['data_licence']}).", *told))


def trainings_of(report: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The reports of all trainings that are in an adapter, in their order."""
    for each in (report["begin"],) if report.get("begin") else report.get("mean_of", ()):
        yield from trainings_of(each)
    if "settings" in report:
        yield report


def _settings(report: Mapping[str, Any], trainings: Sequence[Mapping[str, Any]]) -> str:
    """How it was trained; trainings of one adapter differ in their rows and learning rates alone."""
    settings = [each["settings"] for each in trainings]
    first, rates = settings[0], [f"{each['learning_rate']:g}" for each in settings]
    return (
        f"{_course(report)}: LoRA of rank {first['rank']} on all linear layers, {first['epochs']} epochs "
        f"at most of batches of {first['batch']}, learning rate {', then '.join(dict.fromkeys(rates))}, seed "
        f"{first['seed']}; the rest is in `training.json`."
    )


def _course(report: Mapping[str, Any]) -> str:
    if mean := report.get("mean_of"):
        return f"The mean of {len(mean)} trainings"
    return (
        f"{_course(report['begin'])}, and one that goes on from it" if report.get("begin") else "One training"
    )


def _first_held(suite: str, data: Path) -> Example:
    found: Iterator[Example] = (example for example in read_suite(suite, data) if example.split == "held")
    return next(found)


def main() -> int:
    """Write the cards of the specialists that are there, and return the exit code."""
    parser = argparse.ArgumentParser(description="Write the cards of the specialists.")
    parser.add_argument("--matrix", type=Path, default=Path("docs/matrix/figures.json"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data/tasks"))
    parser.add_argument("--adapters", type=Path, default=Path("adapters"))
    given = parser.parse_args()
    (matrix,) = json.loads(given.matrix.read_bytes())["tables"]
    for name in SPECIALISTS:
        folder = given.adapters / name
        if not folder.is_dir():
            print(f"{folder}: not trained yet")
            continue
        report = json.loads((folder / "training.json").read_bytes())
        text = card(name, report, matrix, _first_held(WORDS[name]["suites"][0], given.data))
        write_whole(folder / "README.md", text)
        print(folder / "README.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
