"""`pinnace eval import`: published routing benchmarks as outcome tables."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from pinnace.cli.app import JsonOption, console, print_json
from pinnace.cli.evaluate import evaluate
from pinnace.eval.importers import LAYOUTS, read_layout
from pinnace.eval.table_file import check_name, write_table


@evaluate.command("import")
def import_table(
    layout: Annotated[str, typer.Argument(help=f"What the files are: {', '.join(LAYOUTS)}.")],
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="The published files, or folders of them.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The outcome table to write (.parquet, .jsonl[.gz], .csv).")
    ],
    json: JsonOption = False,
) -> None:
    """Turn the files of a published routing benchmark into an outcome table.

    The object that --json prints has `layout`, `out`, `rows`, `tasks` (rows by task), `models`, `scored`
    and `priced` (how many outcomes have a score and a cost).
    Example: [bold]pinnace eval import routellm RouteLLM/routellm/evals -o routellm.parquet[/bold]
    """
    check_name(out)
    table = read_layout(layout, paths)
    write_table(table, out)
    scored, priced = (int((~np.isnan(cells)).sum()) for cells in (table.scores, table.costs))
    tasks = {task: table.tasks.count(task) for task in dict.fromkeys(table.tasks)}
    if json:
        print_json(
            {
                "layout": layout,
                "out": str(out),
                "rows": len(table),
                "tasks": tasks,
                "models": table.models,
                "scored": scored,
                "priced": priced,
            }
        )
        return
    console.print(
        f"{len(table):,} rows of {len(tasks)} tasks, {len(table.models)} models, {scored:,} scores and "
        f"{priced:,} costs written to {out}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
