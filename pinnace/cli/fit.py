"""`pinnace fit`: a router state from outcome tables, or models that join one."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from pinnace.cli.add import add
from pinnace.cli.app import DEFAULT_PATH, ConfigOption, JsonOption, app, console, print_json, read_config
from pinnace.cli.learn import learn
from pinnace.errors import ConfigError
from pinnace.eval.embedding_cache import embed_cached
from pinnace.eval.fitting import fit_table
from pinnace.eval.gate_rows import EmbeddedTexts
from pinnace.eval.join import join_tables
from pinnace.eval.members import only_members
from pinnace.eval.specialists import specialists_of, wrong_elsewhere
from pinnace.eval.table import OutcomeTable
from pinnace.eval.table_file import read_table, write_table
from pinnace.router.embedder import load_embedder
from pinnace.router.state import Provenance, RouterState, save_state
from pinnace.router.types import Embedder

OF_A_WHOLE_FIT = ("from_ledger", "force", "clusters", "hold_tokens", "keep_table")


@app.command()
def fit(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write the router state to.")],
    tables: Annotated[list[Path] | None, typer.Argument(help="Outcome tables.")] = None,
    add_to: Annotated[
        Path | None,
        typer.Option(help="Add the models that this state does not know, and leave all else of it as it is."),
    ] = None,
    from_ledger: Annotated[
        str | None,
        typer.Option(help="Learn from this ledger as well, or from 'default', the configuration's own."),
    ] = None,
    force: Annotated[bool, typer.Option(help="With --from-ledger: replace what serves, whatever.")] = False,
    clusters: Annotated[int, typer.Option(min=1, max=1024, help="How many clusters.")] = 40,
    hold_tokens: Annotated[
        int, typer.Option(min=1, max=256, help="Tokens a stream holds for the gate.")
    ] = 16,
    seed: int = 0,
    keep_table: Annotated[
        bool,
        typer.Option(
            "--table/--no-table",
            help="Keep the outcome table, prompts included, in the folder: 'pinnace grow' needs it.",
        ),
    ] = True,
    config: ConfigOption = DEFAULT_PATH,
    json: JsonOption = False,
) -> None:
    """Fit clusters, estimates and the gate from outcome tables.

    With --add-to only what is new is fitted: a few hundred scored prompts place a model among those that
    the state knows, and nothing of these changes.

    With --from-ledger also from what was served: rated answers, and drafts that were climbed past. The
    state that serves is then replaced only where the new one cross-validates no worse; else the new one
    is left beside it.

    Example: [bold]pinnace fit outcomes.parquet -o .pinnace/router[/bold]
    """
    if not tables and from_ledger is None:
        raise ConfigError("fit: expected outcome tables or --from-ledger, got neither")
    paths = tables or []
    if add_to is not None:
        if given := _given(context, OF_A_WHOLE_FIT):
            raise ConfigError(f"--add-to: the state has all but the new models, expected no {given}")
        add(paths, add_to, out, read_config(config), seed=seed, json=json)
        return

    told = read_config(config)

    def fitted(rows: OutcomeTable, embedder: Embedder, sources: Sequence[str]) -> RouterState:
        return fit_table(
            rows,
            embedder,
            clusters=clusters,
            hold_tokens=hold_tokens,
            seed=seed,
            sources=sources,
        )

    def filled(rows: OutcomeTable) -> OutcomeTable:
        return wrong_elsewhere(rows, specialists_of(told))

    if from_ledger is not None:
        learn(
            lambda rows, embedder, sources: fitted(filled(rows), embedder, sources),
            paths,
            from_ledger,
            out,
            told,
            seed=seed,
            force=force,
            keep_table=keep_table,
            json=json,
        )
        return
    table = filled(only_members(join_tables([read_table(path) for path in paths])))
    embedder = load_embedder(told.router.embedder)
    embedded = EmbeddedTexts(embedder.name, table.prompts, embed_cached(embedder, table.prompts))
    state = fitted(table, embedded, [path.name for path in paths])
    save_state(state, out, table=partial(write_table, table) if keep_table else None)
    if json:
        found = state.provenance
        print_json(
            {
                "out": str(out),
                "rows": found.rows,
                "models": state.models,
                "tasks": found.tasks,
                "metrics": found.metrics,
            }
        )
        return
    _print(state.provenance, out)


def _given(context: typer.Context, names: Sequence[str]) -> str:
    """Which of these options the user typed, as typed."""
    sources = {name: context.get_parameter_source(name) for name in names}
    typed = [name for name, source in sources.items() if source and source.name == "COMMANDLINE"]
    return ", ".join(f"--{name.replace('_', '-')}" for name in typed)


def _print(found: Provenance, out: Path) -> None:
    console.print(f"router state of {found.rows} rows written to {out}", highlight=False)
    for task, means in found.tasks.items():
        shown = ", ".join(f"{model} {mean:.3f}" for model, mean in means.items() if model != "rows")
        console.print(f"  {task:15} {means['rows']:5.0f} rows  {shown}", highlight=False)
    for name, value in found.metrics.items():
        console.print(f"  {name:45} {value:.4f}", highlight=False)
