"""Published routing benchmarks as outcome tables: one module per layout, loaded when it is asked for.

`LAYOUTS` says what each layout is; the module of the same name reads it.
"""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pinnace.errors import TableError
from pinnace.eval.table import OutcomeTable

LAYOUTS: Mapping[str, str] = {
    "avengers": "Avengers and Avengers-Pro: JSON lines of query, dataset and records",
    "llmrouterbench": "LLMRouterBench: results/bench/<dataset>/<split>/<model>/*.json",
    "routellm": "RouteLLM: routellm/evals, with MMLU and GSM8K sheets and MT-Bench judgements",
    "routerarena": "RouterArena: prediction files (.json) and cached results (.jsonl)",
    "routerbench": "RouterBench: routerbench_0shot as parquet or CSV",
    "routerdc": "RouterDC: datasets/split2_model7/*.json",
}


def read_layout(layout: str, paths: Sequence[Path]) -> OutcomeTable:
    """The outcome table of published files of one layout; a folder stands for the files in it.

    :raises TableError: when there is no such layout; otherwise names the file, the row and the column or
        key that is wrong.
    """
    if layout not in LAYOUTS:
        raise TableError(f"expected a layout ({', '.join(LAYOUTS)}), got {layout!r}")
    return importlib.import_module(f"pinnace.eval.importers.{layout}").read(paths)
