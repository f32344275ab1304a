"""`--report`: the same option, and the same words when the report is written, wherever figures are."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from pinnace.cli.app import stderr

ReportOption = Annotated[
    Path | None, typer.Option("--report", help="Write report.html and figures.json to this folder.")
]


def give_report(found: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Write the report of all tables, and say where.

    :raises PinnaceError: when matplotlib is not installed.
    """
    from pinnace.eval.report import PAGE, write_report

    write_report(found, folder, command=shlex.join(["pinnace", *sys.argv[1:]]))
    stderr.print(f"report written to {folder / PAGE}", highlight=False)
