"""`pinnace train`: a specialist from prompts and answers."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pinnace.cli.app import (
    DEFAULT_PATH,
    ConfigOption,
    JsonOption,
    app,
    console,
    print_json,
    quiet_engines,
    read_config,
    stderr,
)
from pinnace.config import VllmMember
from pinnace.errors import UnknownModelError
from pinnace.models.tokens import ChatTokenizer
from pinnace.models.training.report import StepTaken, TrainingReport
from pinnace.models.training.rows import read_rows
from pinnace.models.training.settings import HIGHEST_RANK, TrainingSettings
from pinnace.models.training.train import train as train_adapter
from pinnace.models.training.workshop import Base
from pinnace.models.weights import default_cache, resolve_weights

COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


@app.command()
def train(
    rows: Annotated[Path, typer.Argument(help="JSON lines of prompt and answer.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write the adapter to.")],
    base: Annotated[str, typer.Option(help="The fleet member to lay it on.")] = "smollm2-135m",
    begin: Annotated[
        Path | None, typer.Option(help="An adapter to go on from; a fresh one by default.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="How often every row is seen, at most.")] = 3,
    rank: Annotated[int, typer.Option(min=1, max=HIGHEST_RANK, help="LoRA's rank; alpha is twice it.")] = 8,
    batch: Annotated[int, typer.Option(min=1, help="Rows per step.")] = 32,
    learning_rate: Annotated[float, typer.Option(help="The highest, after the warm-up.")] = 1e-3,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    system: Annotated[
        str | None,
        typer.Option(help="The system turn to train with; the base's own by default, as it serves."),
    ] = None,
    max_tokens: Annotated[
        int, typer.Option(min=8, help="Of prompt and answer; longer rows are refused.")
    ] = 1024,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="On CPU; all by default.")] = None,
    config: ConfigOption = DEFAULT_PATH,
    json: JsonOption = False,
) -> None:
    """Train a specialist: a LoRA adapter on a model of the fleet.

    A row may also have its own system, tools and tool_choice, as a request would bring them. Interrupted, it
    leaves a checkpoint beside DIR, and the same command goes on from there.

    Example: [bold]pinnace train tickets.jsonl -o adapters/tickets[/bold]
    """
    quiet_engines()
    member = _member(base, config)
    folder = resolve_weights(member.weights, cache=default_cache()).folder
    found = read_rows(rows, spells=ChatTokenizer(folder).spelled)
    settings = TrainingSettings(
        rank=rank,
        alpha=2 * rank,
        learning_rate=learning_rate,
        batch=batch,
        epochs=epochs,
        seed=seed,
        system=system or member.system,
        max_tokens=max_tokens,
        piece_tokens=max(4096, max_tokens),
    )
    with Progress(*COLUMNS, console=stderr) as progress:
        report = train_adapter(
            found,
            Base(base, folder),
            out,
            settings,
            begin=begin,
            device=device,
            threads=threads,
            on_step=_shown_in(progress, out.name),
        )
    if json:
        print_json({"out": str(out), "is_new": report.is_new, **report.as_dict()})
    else:
        _print(report)


def _member(name: str, config: Path) -> VllmMember:
    fleet = {each.name: each for each in read_config(config).fleet if isinstance(each, VllmMember)}
    if name not in fleet:
        raise UnknownModelError(
            f"--base: expected one of {', '.join(fleet) or 'no vllm member'}, got {name!r}"
        )
    return fleet[name]


def _shown_in(progress: Progress, name: str) -> Callable[[StepTaken], None]:
    task = progress.add_task(name, total=None)

    def show(step: StepTaken) -> None:
        speed = step.tokens / max(step.seconds, 1e-9)
        text = f"{name}: loss {step.loss:.3f}, {speed:.0f} tokens/s"
        progress.update(task, description=text, completed=step.step, total=step.steps)

    return show


def _print(report: TrainingReport) -> None:
    for refusal in report.refused[:20]:
        console.print(f"row {refusal.number} refused: {refusal.why}", highlight=False, markup=False)
    if len(report.refused) > 20:
        console.print(f"... and {len(report.refused) - 20} more refused", highlight=False)
    for each in report.evaluations:
        held = (
            ""
            if each.held_loss is None
            else (f", held back {each.held_loss:.4f}, {each.held_right:.1%} of its answers to the letter")
        )
        console.print(f"epoch {each.epoch:.2f}: loss {each.train_loss:.4f}{held}", highlight=False)
    what = "written to" if report.is_new else "trained already, in"
    console.print(
        f"{report.rows} rows, {report.tokens} tokens in {report.seconds:.0f} s on {report.device}; "
        f"best after step {report.best_step} of {report.steps}; {what} {report.folder}",
        highlight=False,
    )
