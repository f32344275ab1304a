"""`pinnace fit`: a router state from outcome tables."""

from pathlib import Path
from typing import Annotated

import typer

from pinnace.cli.app import DEFAULT_PATH, ConfigOption, JsonOption, app, console, print_json, read_config
from pinnace.eval.fitting import fit_table
from pinnace.eval.join import join_tables
from pinnace.eval.table_file import read_table
from pinnace.router.embedder import load_embedder
from pinnace.router.state import Provenance, save_state


@app.command()
def fit(
    tables: Annotated[list[Path], typer.Argument(help="Outcome tables.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write the router state to.")],
    clusters: Annotated[int, typer.Option(min=1, max=1024, help="How many clusters.")] = 40,
    hold_tokens: Annotated[
        int, typer.Option(min=1, max=256, help="Tokens a stream holds for the gate.")
    ] = 16,
    seed: int = 0,
    config: ConfigOption = DEFAULT_PATH,
    json: JsonOption = False,
) -> None:
    """Fit clusters, estimates and the gate from outcome tables.

    Example: [bold]pinnace fit outcomes.parquet -o .pinnace/router[/bold]
    """
    table = join_tables([read_table(path) for path in tables])
    embedder = load_embedder(read_config(config).router.embedder)
    state = fit_table(
        table,
        embedder,
        clusters=clusters,
        hold_tokens=hold_tokens,
        seed=seed,
        sources=[path.name for path in tables],
    )
    save_state(state, out)
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


def _print(found: Provenance, out: Path) -> None:
    console.print(f"router state of {found.rows} rows written to {out}", highlight=False)
    for task, means in found.tasks.items():
        shown = ", ".join(f"{model} {mean:.3f}" for model, mean in means.items() if model != "rows")
        console.print(f"  {task:15} {means['rows']:5.0f} rows  {shown}", highlight=False)
    for name, value in found.metrics.items():
        console.print(f"  {name:45} {value:.4f}", highlight=False)
