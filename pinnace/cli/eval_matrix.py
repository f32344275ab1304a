"""`pinnace eval matrix`: every model on every suite of a live run's table, with intervals."""

from pathlib import Path
from typing import Annotated

import typer

from pinnace.cli.app import (
    DEFAULT_PATH,
    ConfigOption,
    JsonOption,
    print_json,
    quiet_engines,
    read_config,
    stderr,
)
from pinnace.cli.evaluate import evaluate
from pinnace.cli.matrix_tables import print_matrix
from pinnace.cli.report_option import ReportOption, give_report
from pinnace.eval.embedding_cache import embed_cached
from pinnace.eval.gate_rows import EmbeddedTexts
from pinnace.eval.join import join_tables
from pinnace.eval.matrix import DRAWS, matrix_of
from pinnace.eval.matrix_gate import judged_table
from pinnace.eval.matrix_parts import matrix_parts
from pinnace.eval.table import OutcomeTable
from pinnace.eval.table_file import check_name, read_table, write_table
from pinnace.router.embedder import load_embedder
from pinnace.router.state import load_state


@evaluate.command()
def matrix(
    paths: Annotated[list[Path], typer.Argument(metavar="TABLE...", help="Outcome tables of live runs.")],
    reference: Annotated[
        str | None, typer.Option(help="The model that gains are over; the first by default.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Take the confidence from the gates of this router state.")
    ] = None,
    draws: Annotated[int, typer.Option(min=100, max=100_000, help="Bootstrap draws.")] = DRAWS,
    seed: int = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the joined table (.parquet, .jsonl[.gz], .csv).")
    ] = None,
    report: ReportOption = None,
    config: ConfigOption = DEFAULT_PATH,
    json: JsonOption = False,
) -> None:
    """Accuracy, gain, confidence and cost of every model on every suite, and who answered for `auto`.

    Tables are joined by id, so runs of other models on the same prompts stand side by side. Without --state
    the confidence in answers that were asked for directly is that of the mean log-probability. The keys
    that --json prints are those of `pinnace.eval.matrix`.
    Example: [bold]pinnace eval matrix base.parquet specialists.parquet --report matrix[/bold]
    """
    if out is not None:
        check_name(out)
    table = join_tables([read_table(path) for path in paths])
    if state is not None:
        table = _judged(table, state, config)
    found = matrix_of(table, reference=reference, draws=draws, seed=seed)
    if out is not None:
        write_table(table, out)
    if report is not None:
        names = ", ".join(path.name for path in paths)
        give_report([{"table": names, **matrix_parts(found, table)}], report)
    if json:
        print_json(found)
    else:
        print_matrix(found)


def _judged(table: OutcomeTable, state: Path, config: Path) -> OutcomeTable:
    """The table with the gates' confidence; its prompts are embedded once."""
    quiet_engines()
    shipped = load_state(state)
    embedder = load_embedder(read_config(config).router.embedder)
    with stderr.status(f"embedding {len(table)} prompts"):
        vectors = embed_cached(embedder, table.prompts)
    return judged_table(table, shipped, EmbeddedTexts(embedder.name, table.prompts, vectors))
