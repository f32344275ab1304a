"""`pinnace eval`: measure models and routing. Its commands are in modules of their own."""

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from pinnace.cli.app import app

COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
"""Of every progress bar of `pinnace eval` that knows how long it will take."""
evaluate = typer.Typer(help="Measure models and routing.", no_args_is_help=True)
app.add_typer(evaluate, name="eval")
