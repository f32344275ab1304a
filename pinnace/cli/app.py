"""The `pinnace` command and what all its commands share: errors, exit codes, logging, printing JSON."""

import importlib
import json
import logging
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console

from pinnace.config import DEFAULT_PATH, Config, load_config
from pinnace.errors import ConfigError, PinnaceError, TableError, TrainingRowsError

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
COMMANDS = (
    "serve",
    "ask",
    "route",
    "models",
    "model_cards",
    "keys",
    "fit",
    "train",
    "grow",
    "rate",
    "evaluate",
    "eval_floor",
    "eval_gate",
    "eval_import",
    "eval_live",
    "eval_matrix",
    "eval_pipeline",
    "eval_replay",
    "eval_tables",
    "bench",
)
BAD_USAGE = (ConfigError, TableError, TrainingRowsError)


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
    """One JSON object on stdout; numbers that JSON does not have (NaN, infinities) become null."""
    sys.stdout.write(json.dumps(_with_nulls(value), ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def _with_nulls(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _with_nulls(item) for key, item in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, list | tuple):
        return [_with_nulls(item) for item in cast(Sequence[Any], value)]
    return value


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
