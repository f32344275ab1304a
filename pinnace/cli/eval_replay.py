"""`pinnace eval replay`: routing methods compared on recorded outcomes."""

import shlex
import sys
from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.progress import Progress
from rich.table import Table

from pinnace.cli.app import (
    DEFAULT_PATH,
    ConfigOption,
    JsonOption,
    console,
    print_json,
    read_config,
    stderr,
)
from pinnace.cli.evaluate import COLUMNS, evaluate
from pinnace.errors import ConfigError, TableError
from pinnace.eval.embedding_cache import embed_cached
from pinnace.eval.foreign import foreign
from pinnace.eval.methods import METHODS, Method
from pinnace.eval.pool import parse_pool, whole_pool
from pinnace.eval.predictions import chosen_columns, read_predictions
from pinnace.eval.protocols import PROTOCOLS, run_protocol
from pinnace.eval.recorded_rows import Recorded, record, shuffled, usable_rows
from pinnace.eval.replay import replay as run_replay
from pinnace.eval.replay import usable_methods
from pinnace.eval.replay_json import replay_json
from pinnace.eval.report_parts import report_parts
from pinnace.eval.table import OutcomeTable
from pinnace.eval.table_file import read_table
from pinnace.router.embedder import load_embedder
from pinnace.router.types import Embedder


@evaluate.command()
def replay(
    tables: Annotated[list[Path], typer.Argument(help="Outcome tables.")],
    pool: Annotated[
        str | None, typer.Option(help="SMALL,SMALL,...[:LARGE]; every model, the dearest large, by default.")
    ] = None,
    tasks: Annotated[str | None, typer.Option(help="Only these tasks, commas between.")] = None,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Splits, each with a seed of its own.")] = 5,
    rows: Annotated[
        int | None, typer.Option(min=1, help="Learn from only so many rows of each split.")
    ] = None,
    draws: Annotated[int, typer.Option(min=10, max=10_000, help="Bootstrap draws.")] = 1_000,
    shuffle_labels: Annotated[
        bool,
        typer.Option("--shuffle-labels", help="Give each row the outcomes of another: nothing to learn."),
    ] = False,
    predictions: Annotated[
        list[Path] | None, typer.Option(help="Choices of a foreign router to compare with.")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help=f"A published protocol: {', '.join(PROTOCOLS)}.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write report.html and figures.json to this folder.")
    ] = None,
    config: ConfigOption = DEFAULT_PATH,
    json: JsonOption = False,
) -> None:
    """Compare routing methods on recorded outcomes, with intervals and honest baselines.

    Example: [bold]pinnace eval replay outcomes.parquet --pool small-a,small-b:large[/bold]
    """
    if protocol is not None and protocol not in PROTOCOLS:
        raise ConfigError(f"--protocol: expected one of {', '.join(PROTOCOLS)}, got {protocol!r}")
    if protocol is not None and any((pool, tasks, rows, shuffle_labels, predictions, report)):
        raise ConfigError(
            "--protocol: expected only --seeds and --draws beside it, for its rows are published"
        )
    embedder = load_embedder(read_config(config).router.embedder)
    found: list[dict[str, Any]] = []
    for path in tables:
        table = read_table(path)
        if protocol is not None:
            found.append(
                run_protocol(protocol, table, path.name, _vectors(embedder), seeds=seeds, draws=draws)
            )
            continue
        recorded = _recorded(table, pool, tasks, embedder)
        if shuffle_labels:
            recorded = shuffled(recorded, seed=0)
        methods = usable_methods(recorded, _methods(predictions or (), table, recorded))
        with Progress(*COLUMNS, console=stderr) as progress:
            task = progress.add_task(f"replay {path.name}", total=seeds * len(methods))
            done = run_replay(
                recorded,
                methods=methods,
                seeds=seeds,
                draws=draws,
                rows=rows,
                on_done=lambda progress=progress, task=task: progress.advance(task),
            )
        one = replay_json(done, path.name)
        found.append(one | report_parts(recorded, rows=rows) if report is not None else one)
    _give(found, report, json=json, protocol=protocol)


def _recorded(table: OutcomeTable, pool: str | None, tasks: str | None, embedder: Embedder) -> Recorded:
    chosen = parse_pool(pool, table) if pool else whole_pool(table)
    usable, dropped = usable_rows(table, chosen, [task.strip() for task in tasks.split(",")] if tasks else ())
    vectors = _vectors(embedder)([table.prompts[int(row)] for row in usable])
    return record(table, chosen, usable, dropped, vectors)


def _vectors(embedder: Embedder) -> Any:
    """Embeds texts from the cache, with a progress bar for those that it lacks."""

    def embed(texts: Sequence[str]) -> Any:
        with Progress(*COLUMNS, console=stderr, transient=True) as progress:
            task = progress.add_task("embedding", total=None)
            return embed_cached(
                embedder,
                texts,
                on_done=lambda done, total: progress.update(task, completed=done, total=total),
            )

    return embed


def _methods(predictions: Sequence[Path], table: OutcomeTable, recorded: Recorded) -> dict[str, Method]:
    """Ours and the published ones, and the foreign routers by the names of their files."""
    methods = dict(METHODS)
    for path in predictions:
        if path.stem in methods:
            raise TableError(f"{path}: expected a file name that is no other method's, got {path.stem!r}")
        columns = chosen_columns(read_predictions(path), table.take(recorded.source.tolist()))
        methods[path.stem] = foreign(path.stem, [table.models[int(c)] for c in columns], recorded)
    return methods


def _give(found: list[dict[str, Any]], report: Path | None, *, json: bool, protocol: str | None) -> None:
    if report is not None:
        from pinnace.eval.report import write_report

        write_report(found, report, command=shlex.join(["pinnace", *sys.argv[1:]]))
        stderr.print(f"report written to {report / 'report.html'}", highlight=False)
    if json:
        print_json(found[0] if len(found) == 1 else {"tables": found})
        return
    for one in found:
        if protocol is not None:
            print_protocol(one)
        else:
            _print(one)


def _print(one: dict[str, Any]) -> None:
    large = one["large"] or "none"
    console.print(
        f"{one['table']}: {one['rows']:,} rows, {len(one['small'])} small models, large: {large}; "
        f"{one['seeds']} splits, {one['draws']:,} bootstrap draws",
        highlight=False,
    )
    console.print(_headlines(one["methods"]))
    console.print(_further(one["methods"]))
    for key, against in (
        ("delta_vs_best_peer", "the best peer"),
        ("delta_vs_blind", "the content-blind mix"),
    ):
        delta = one[key]
        if delta is not None:
            named = f" ({delta['peer']})" if "peer" in delta else ""
            console.print(f"area above {against}{named}: {_cell(delta, 'area')}", highlight=False)
    console.print("area: " + one["normalisation"]["area"], highlight=False)


def _headlines(methods: dict[str, Any]) -> Table:
    """Area and small accuracy, each with its interval; fits 80 columns."""
    shown = _table("area", "95 %", "small accuracy", "95 %")
    for method in methods.values():
        cells = [_valued(method, name) for name in ("area", "small_accuracy")]
        shown.add_row(method["label"], *(cell for values in cells for cell in _pair(values)))
    return shown


def _further(methods: dict[str, Any]) -> Table:
    """What else is asked for first, without intervals: the JSON has them, and the other metrics."""
    shown = _table("APGR", "accuracy", "USD per 1,000", "over best single")
    names = ("apgr", "accuracy", "cost_usd_per_1k", "gain_over_best_single")
    for method in methods.values():
        figures = method["metrics"]
        shown.add_row(method["label"], *(_pair(figures.get(name), _places(name))[0] for name in names))
    return shown


def print_protocol(one: dict[str, Any]) -> None:
    """A published protocol's figures as tables of two figures each, so that they fit 80 columns."""
    console.print(f"{one['table']}: {one['protocol']}: {one['note']}", highlight=False)
    names = list(next(iter(one["methods"].values())))
    for start in range(0, len(names), 2):
        here = names[start : start + 2]
        shown = _table(*(column for name in here for column in (name.replace("_", " "), "95 %")))
        for method, figures in one["methods"].items():
            shown.add_row(method, *(cell for name in here for cell in _pair(figures[name], _places(name))))
        console.print(shown)
    for name, value in one["published"].items():
        console.print(f"  published: {name}: {value}", highlight=False)


def _table(*figures: str) -> Table:
    shown = Table("method", box=SIMPLE_HEAD, padding=(0, 1))
    for figure in figures:
        shown.add_column(figure, justify="right")
    return shown


def _valued(values: dict[str, Any], name: str) -> dict[str, float]:
    return {"value": values[name], "low": values[f"{name}_low"], "high": values[f"{name}_high"]}


def _cell(values: dict[str, Any], name: str) -> str:
    value, spread = _pair(_valued(values, name))
    return f"{value} ({spread})"


def _pair(figure: dict[str, float] | None, places: int = 2) -> tuple[str, str]:
    """A figure and its interval; figures of one name have as many decimals, so that they align."""
    if figure is None or isnan(figure["value"]):
        return "-", ""
    value, low, high = (f"{figure[key]:.{places}f}" for key in ("value", "low", "high"))
    return value, f"{low} to {high}"


def _places(name: str) -> int:
    """Decimals of a figure: dollars are few, shares go from 0 to 1, all else from 0 to 100."""
    if "usd" in name:
        return 4
    return 3 if any(part in name for part in ("apgr", "cpt", "gap")) else 2
