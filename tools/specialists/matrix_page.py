"""Writes docs/matrix/README.md and its pictures from what `pinnace eval matrix --report` left there.

python tools/specialists/matrix_page.py docs/matrix
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cards import cell
from whole_file import write_whole

from pinnace.eval.figures.drawing import draw_figures
from pinnace.eval.figures.live import MATRIX

TEXT = """# The measured matrix

The fleet that ships, on the test rows of {suites} public and made task sets, by real answers:
{rows:,} prompts. The router state was fitted on other rows (`make default-state`), and the specialists
were trained on published train rows (7 of TREC's 500 test questions stand there too). `auto` is the
route through the whole fleet, without a large model.

{stream}

{table}

Accuracies with 95 % intervals ({draws:,} bootstrap draws of prompts). `NAME@5` has five solved examples in
its prompt; where a cell is empty, nothing was asked: the suites of calls have no solved examples, and only
who takes tools was asked there. `make matrix` measures all of it again;
[outcomes.parquet](outcomes.parquet) has every outcome with its cost and the evidence of the gate
([format](../evaluation.md)), [report.html](report.html) more figures, [figures.json](figures.json) all of
them.

![Accuracy, suite by suite](accuracies.svg)

![Who answered what was asked of auto](routes.svg)
"""


def page(matrix: Mapping[str, Any]) -> str:
    """The page in Markdown."""
    models: list[str] = matrix["models"]
    lines = [f"| suite | rows | {' | '.join(models)} |", f"| --- | ---: |{' --- |' * len(models)}"]
    for name, suite in matrix["suites"].items():
        cells = [cell(suite["models"].get(model), "accuracy") for model in models]
        lines.append(f"| {name} | {suite['rows'] + suite['out_of_scope']} | {' | '.join(cells)} |")
    return TEXT.format(
        suites=len(matrix["suites"]),
        rows=matrix["rows"],
        stream=_stream(matrix["stream"]),
        table="\n".join(lines),
        draws=matrix["draws"],
    )


def _stream(stream: Mapping[str, Any]) -> str:
    shares = ", ".join(f"{model} {share:.1%}" for model, share in stream["shares"].items())
    gap = ", ".join(f"{100 * stream[f'gap{end}']:.1f}" for end in ("_low", "_high"))
    return (
        f"All that was asked of `auto` as one stream ({stream['rows']:,} scored prompts): accuracy "
        f"**{stream['accuracy']:.3f}**, of an oracle that knows each prompt's suite {stream['oracle']:.3f}; "
        f"a difference of {100 * stream['gap']:.1f} points (95 %: {gap}). Where one member is clearly best, "
        f"it answered {stream['to_best']:.1%}. Answered by: {shares}."
    )


def main() -> int:
    """Write the page and the pictures, and return the exit code."""
    parser = argparse.ArgumentParser(description="Write the page of the matrix.")
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    (matrix,) = json.loads((folder / "figures.json").read_bytes())["tables"]
    files = {f"{drawing.name}.svg": drawing.svg for drawing in draw_figures(matrix, MATRIX)}
    for name, text in {**files, "README.md": page(matrix)}.items():
        write_whole(folder / name, text)
        print(folder / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
