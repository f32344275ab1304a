"""The `pinnace` command and what all its commands share: errors, exit codes, logging, printing JSON."""

import importlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from pinnace.config import DEFAULT_PATH, Config, load_config
from pinnace.errors import ConfigError, PinnaceError, TableError

app = typer.Typer(
    name="pinnace",
    help="Most requests answered by small local models, the rest by a large one, and it is measured.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
console = Console()
stderr = Console(stderr=True)

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
COMMANDS = ("serve", "ask", "route", "models", "fit", "evaluate", "bench")
BAD_USAGE = (ConfigError, TableError)


def main() -> None:
    """Run the command line; exit code 0 when all went well, 1 when it failed, 2 when it was misused."""
    for command in COMMANDS:
        importlib.import_module(f"pinnace.cli.{command}")  # each adds itself to `app`
    try:
        app(standalone_mode=True)
    except PinnaceError as error:
        stderr.print("error:", str(error), highlight=False, markup=False, soft_wrap=True)
        raise SystemExit(2 if isinstance(error, BAD_USAGE) else 1) from None


def read_config(path: Path) -> Config:
    """The configuration at `path`."""
    return load_config(path)


def print_json(value: Any) -> None:
    """One JSON object on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def quiet_engines() -> None:
    """Log lines on stderr from warnings up, ours and the engine's, for commands that print results."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")


@app.command()
def version() -> None:
    """Print the version. Example: [bold]pinnace version[/bold]"""
    from importlib.metadata import version as version_of

    console.print(version_of("pinnace"), highlight=False)


__all__ = [
    "DEFAULT_PATH",
    "ConfigOption",
    "JsonOption",
    "app",
    "console",
    "main",
    "print_json",
    "read_config",
]
