"""`pinnace grow`: turn what the large model answered into a specialist, if it earns its place."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pinnace.cli.app import DEFAULT_PATH, ConfigOption, JsonOption, app, print_json, quiet_engines, stderr
from pinnace.cli.grow_text import dry_dict, print_dry, print_growth, print_undone, undone_dict
from pinnace.config import load_config
from pinnace.config.grown import grown_folder
from pinnace.errors import ConfigError
from pinnace.eval.grow.expectation import foretold
from pinnace.eval.grow.growth import Growing
from pinnace.eval.grow.plan import Options, plan_growth
from pinnace.eval.grow.registry import locked, undo
from pinnace.eval.grow.setting import read_setting
from pinnace.eval.grow.tools import Tools
from pinnace.models.tokens import ChatTokenizer
from pinnace.models.training.train import train
from pinnace.models.training.workshop import Base
from pinnace.models.weights import default_cache, resolve_weights
from pinnace.router.embedder import load_embedder

COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())


@app.command()
def grow(
    examples: Annotated[
        Path | None, typer.Option(help="JSON lines of prompt and answer; by default the ledger's requests.")
    ] = None,
    holdout: Annotated[
        Path | None,
        typer.Option(help="Rows to measure on, and nothing else; by default some are kept aside."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the specialist is called.")] = None,
    base: Annotated[
        str | None, typer.Option(help="The fleet member to train on; the first local one.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="In place of what the budget of tokens allows.")
    ] = None,
    keep: Annotated[
        float, typer.Option(min=0.5, max=1.0, help="Share of the large model's quality that must be kept.")
    ] = 0.97,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would do, and change nothing.")
    ] = False,
    take_back: Annotated[bool, typer.Option("--undo", help="Take back the last growth.")] = False,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    config: ConfigOption = DEFAULT_PATH,
    json: JsonOption = False,
) -> None:
    """Train a specialist on what the large model answered, measure it, and route to it if it earns its place.

    Secrets and personal identifiers are taken out first, and requests marked private are never used.
    router.yaml is not written: what is grown lies beside the ledger, and a running server takes it up at its
    next reload (SIGHUP). Interrupted, the same command goes on where it stopped.

    Example: [bold]pinnace grow --examples tickets.jsonl --holdout tickets-test.jsonl --name tickets[/bold]
    """
    quiet_engines()
    if take_back:
        _undo(config, json=json)
        return
    if holdout is not None and examples is None:
        raise ConfigError("--holdout: goes with --examples; of a ledger some requests are kept aside")
    setting = read_setting(config, base)
    folder = resolve_weights(setting.base.weights, cache=default_cache()).folder
    tokenizer = ChatTokenizer(folder)
    options = Options(examples, holdout, name, epochs, keep, seed)
    embed = partial(load_embedder, setting.config.router.embedder)
    plan = plan_growth(setting, options, tokenizer, embed)
    if dry_run:
        found = foretold(plan, embed(), keep)
        print_json(dry_dict(plan, found)) if json else print_dry(plan, found)
        return
    tools = Tools(Base(setting.base.name, folder), lambda text: len(tokenizer.letters(text)), train, embed())
    with locked(setting.folder), Progress(*COLUMNS, console=stderr) as progress:
        growth = Growing(setting, plan, options, tools, _Bars(progress)).run()
    print_json(growth.as_dict()) if json else print_growth(growth)


class _Bars:
    """Steps as progress bars."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def begin(self, what: str, total: int | None) -> Callable[[int], None]:
        """A new bar."""
        task = self._progress.add_task(what, total=total or 100)

        def done(parts: int) -> None:
            self._progress.update(task, completed=parts)

        return done


def _undo(config: Path, *, json: bool) -> None:
    folder = grown_folder(load_config(config, grown=False))
    with locked(folder):
        found = undo(folder)
    print_json(undone_dict(found)) if json else print_undone(found)
