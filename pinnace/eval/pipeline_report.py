"""The report of pipelines, whole and step by step: its figures, and the page of a live run with them on it.

`pipeline_figures` is pure, and gives what `pinnace eval pipeline --json` prints as `pipeline`; its keys:

- `rows`, `reference` (the column that gains are over), `draws` and `seed` of the bootstrap.
- `variants`: per column `runs` (that the fleet served), `faults` (those without an answer, scored 0),
  `accuracy` (mean score over all suites' prompts), `gain` (over the reference, paired; null for itself),
  `usd_per_1k` runs, and means per run: `joules`, `seconds`, `calls`, `escalations`, `prompt_tokens`,
  `completion_tokens`, `confidence`; `metered` (share of the calls whose joules are known: the others are not
  in `joules`), `shares` (of the calls, by who answered), and `steps`.
- `steps`: per step the same, of what it took alone: `runs` that asked it and `accuracy` of those, `asks` per
  run of the pipeline, `seconds` per ask. All else is per run of the pipeline, whether it asked the step or
  not, so that steps add up to the whole.

Figures with intervals have `_low` and `_high`, the 95 % of bootstrap draws of prompts, the same for all
columns. What is not defined is NaN.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from math import fsum, nan
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from pinnace.eval.bootstrap import Interval, Weights, draw_weights, interval, mean_draws, paired_interval
from pinnace.eval.matrix import matrix_of
from pinnace.eval.matrix_parts import matrix_parts
from pinnace.eval.pipelines import FAULT, PARTS
from pinnace.eval.report import FIGURES, FORMAT, PAGE
from pinnace.eval.report_html import flat, row, table, text
from pinnace.eval.report_live import matrix_section
from pinnace.eval.report_page import Section, page
from pinnace.eval.report_words import interval as interval_words
from pinnace.eval.report_words import number
from pinnace.eval.table import FloatArray, OutcomeTable

DRAWS = 1000
PER = 1000
SUMS = ("calls", "escalations", "prompt_tokens", "completion_tokens")
Found = Mapping[str, Any]
BoolArray = npt.NDArray[np.bool_]
HEADING, STEPS = "Pipelines, measured live", "Step by step"
PLACES = 3
MEANS = ("joules", "seconds", "calls", "escalations", "confidence")
HEADS = ("", "runs", "asks", "accuracy", "over the first", "USD per 1,000", *MEANS, "answered by")


def pipeline_figures(outcomes: OutcomeTable, *, draws: int = DRAWS, seed: int = 0) -> dict[str, Any]:
    """The figures of a table's pipelines, under the keys of the module's docstring; the first is the
    reference."""
    names = [
        name for name in outcomes.models if any(PARTS in (e or {}) for e in outcomes.evidence.get(name, ()))
    ]
    weights = draw_weights(len(outcomes), draws, seed) if names else np.empty((draws, 0), dtype=np.float32)
    scores = {name: outcomes.scores[:, outcomes.models.index(name)] for name in names}
    found = {name: _variant(outcomes.evidence[name], scores[name], weights) for name in names}
    for name in names:
        gain = _gain(scores[name], scores[names[0]], weights) if name != names[0] else None
        found[name] |= _flat("gain", gain)
    reference = names[0] if names else None
    told = {"rows": len(outcomes), "reference": reference, "draws": draws, "seed": seed}
    return {**told, "variants": found}


def _variant(column: Sequence[Found | None], scores: FloatArray, weights: Weights) -> dict[str, Any]:
    runs = [evidence for evidence in column if evidence is not None]
    parts: list[Found] = [part for run in runs for part in run[PARTS]]
    return {
        "runs": len(runs),
        "faults": sum(FAULT in run for run in runs),
        **_flat("accuracy", _accuracy(scores, ~np.isnan(scores), weights)),
        **_took(parts, len(runs)),
        "seconds": _mean([run["seconds"] for run in runs]),
        "confidence": _mean([run["confidence"] for run in runs if "confidence" in run]),
        "steps": {
            step: _step(step, column, scores, weights)
            for step in dict.fromkeys(part["step"] for part in parts)
        },
    }


def _step(step: str, column: Sequence[Found | None], scores: FloatArray, weights: Weights) -> dict[str, Any]:
    of = [[part for part in (run or {}).get(PARTS, ()) if part["step"] == step] for run in column]
    parts = [part for found in of for part in found]
    asked = np.array([bool(found) for found in of]) & ~np.isnan(scores)
    runs = sum(run is not None for run in column)
    asks = sum(part["asks"] for part in parts)
    return {
        "runs": sum(map(bool, of)),
        "asks": asks / runs,
        **_flat("accuracy", _accuracy(scores, asked, weights)),
        **_took(parts, runs),
        "seconds": fsum(part["seconds"] for part in parts) / asks,
        "confidence": _mean([part["confidence"] for part in parts if part["confidence"] is not None]),
    }


def _took(parts: Sequence[Found], runs: int) -> dict[str, Any]:
    """What was spent, per run; and who answered."""
    models: Counter[str] = Counter()
    for part in parts:
        models.update(part["models"])
    calls, metered = sum(part["calls"] for part in parts), sum(part["metered"] for part in parts)
    return {
        "usd_per_1k": fsum(part["usd"] for part in parts) / runs * PER,
        "joules": fsum(part["joules"] for part in parts) / runs if metered else nan,
        "metered": metered / calls if calls else nan,
        **{name: sum(part[name] for part in parts) / runs for name in SUMS},
        "shares": {model: count / models.total() for model, count in models.most_common()},
    }


def _accuracy(scores: FloatArray, known: BoolArray, weights: Weights) -> Interval | None:
    if not known.any():
        return None
    return interval(float(scores[known].mean()), _means(scores, known, weights))


def _gain(ours: FloatArray, theirs: FloatArray, weights: Weights) -> Interval | None:
    both = ~np.isnan(ours) & ~np.isnan(theirs)
    if not both.any():
        return None
    value = float((ours[both] - theirs[both]).mean())
    return paired_interval(_means(ours, both, weights), _means(theirs, both, weights), value=value)


def _means(scores: FloatArray, known: BoolArray, weights: Weights) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):  # a draw can miss all of few rows
        return mean_draws(scores[known], weights[:, known])


def _mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values) if values else nan


def _flat(name: str, found: Interval | None) -> dict[str, float]:
    """A figure under its name, its interval under the name with `_low` and `_high`."""
    figure = found or Interval(nan, nan, nan)
    return {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}


def write_pipeline_report(
    outcomes: OutcomeTable, figures: Found, folder: Path, *, name: str, command: str
) -> None:
    """Write the page and the JSON into `folder`, each beside its place and then renamed.

    :param figures: of `outcomes`.
    :param name: what the table is called.
    :param command: what made it, as it would be typed; it is shown.
    :raises PinnaceError: when matplotlib is not installed (the extra `report`).
    :raises TableError: when nothing has a score.
    """
    told = {"table": name, **matrix_parts(matrix_of(outcomes), outcomes), "pipeline": figures}
    report = cast(Found, json.loads(json.dumps(told), parse_constant=lambda _: None))
    sections = [matrix_section(1, report), _section(figures)]
    ours = version("pinnace")
    made = {"format": FORMAT, "pinnace": ours, "command": command, "tables": [report]}
    html = page(sections, heading=HEADING, version=ours, command=command)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / FIGURES, json.dumps(made, ensure_ascii=False, indent=1) + "\n")
    _write(folder / PAGE, html)


def rows_of(figures: Found) -> Iterator[tuple[str, ...]]:
    """A table for people under `HEADS`: every pipeline whole, and beneath it its steps."""
    for name, whole in figures["variants"].items():
        yield name, *_cells(whole)
        for step, took in whole["steps"].items():
            yield f"· {step}", *_cells(took)


def _cells(found: Found) -> Iterator[str]:
    yield f"{found['runs']:,}"
    yield f"{found['asks']:.2f}" if "asks" in found else ""
    yield _with_ends(found, "accuracy")
    yield _with_ends(found, "gain")
    yield number(found["usd_per_1k"], 4)
    yield from (_shown(found[name], 2) for name in MEANS)
    yield ", ".join(f"{model} {share:.1%}" for model, share in found["shares"].items())


def _with_ends(found: Found, name: str) -> str:
    value, low, high = flat(found, name)
    ends = interval_words(low, high, PLACES)
    return _shown(value, PLACES) + (f" ({ends})" if value == value and ends else "")


def _shown(value: float | None, places: int) -> str:
    return "" if value is None or value != value else number(value, places)


def _section(figures: Found) -> Section:
    body = [
        row(name, (f'<td class="text">{text(c)}</td>' for c in cells)) for name, *cells in rows_of(figures)
    ]
    return Section(STEPS, [table("What each took, per run", HEADS, body)])


def _write(path: Path, content: str) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.write_text(content, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
