"""`pinnace models share`, `battery` and `calibrate`: what a shape and its joules are good for."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from pinnace.cli.app import (
    DEFAULT_PATH,
    ConfigOption,
    JsonOption,
    console,
    print_json,
    quiet_engines,
)
from pinnace.cli.models import folder_of, member_of, models
from pinnace.config import AdapterMember, Energy
from pinnace.errors import ConfigError, MeterError
from pinnace.models.found_folder import needed_folder
from pinnace.models.weights import default_cache

NameArgument = Annotated[str, typer.Argument(help="A fleet member, a folder, or a cached hub repository.")]


@models.command()
def share(
    name: Annotated[str, typer.Argument(metavar="FOLDER", help="A folder, or a cached hub repository.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder to write; it must not be there.")
    ],
    times: Annotated[int, typer.Option(help="How often each layer follows itself.")] = 2,
    json: JsonOption = False,
) -> None:
    """Write a checkpoint in which each layer is repeated with the same weights (MobileLLM-LS).

    Example: [bold]pinnace models share smollm2 -o smollm2-ls[/bold]
    """
    from pinnace.models.shapes.card import folder_facts
    from pinnace.models.shapes.weight_sharing import share_layers

    before = needed_folder(name, default_cache())
    folder = share_layers(before, output, times=times)
    keys = ("layers", "parameters", "distinct_parameters", "kv_bytes_per_token", "flops_per_token")
    was, now = (folder_facts(each) for each in (before, folder))
    facts = (
        {"folder": str(folder)}
        | {key: now[key] for key in keys}
        | {"before": {key: was[key] for key in keys}}
    )
    if json:
        print_json(facts)
        return
    for key in keys:
        console.print(f"{key:20} {was[key]} -> {now[key]}", highlight=False)


@models.command()
def battery(
    name: NameArgument,
    kilojoules: Annotated[float, typer.Option(min=0.001, help="What the battery holds.")] = 50.0,
    prompt_tokens: Annotated[int, typer.Option(min=1, help="Tokens of a prompt.")] = 256,
    answer_tokens: Annotated[int, typer.Option(min=1, help="Tokens of an answer.")] = 128,
    pace: Annotated[float, typer.Option(min=0.001, help="Tokens written a second.")] = 10.0,
    batch: Annotated[int, typer.Option(min=1, help="Answers at once; estimates only.")] = 1,
    joules_per_flop: Annotated[float | None, typer.Option(min=0, help="For the estimate.")] = None,
    joules_per_byte: Annotated[float | None, typer.Option(min=0, help="For the estimate.")] = None,
    physics: Annotated[str | None, typer.Option("--source", help="Where these two come from.")] = None,
    config: ConfigOption = DEFAULT_PATH,
    json: JsonOption = False,
) -> None:
    """How long a model answers on a battery, and where the figures come from.

    By the member's own `energy` where it has figures, else by an estimate from its shape.

    Example: [bold]pinnace models battery smollm2-135m --kilojoules 50[/bold]
    """
    from pinnace.models.energy.estimate import PUBLISHED, Load, Physics
    from pinnace.models.energy.estimate import battery as lasting

    load = Load(prompt_tokens, answer_tokens, batch)
    given = (joules_per_flop, joules_per_byte, physics)
    if given != (None, None, None) and None in given:
        raise ConfigError("expected --joules-per-flop, --joules-per-byte and --source together")
    known = PUBLISHED
    if joules_per_flop is not None and joules_per_byte is not None and physics is not None:
        known = Physics(joules_per_flop, joules_per_byte, physics)
    facts = lasting(
        _energy(name, config, load, known, is_estimate=known is not PUBLISHED), load, kilojoules, pace
    )
    if json:
        print_json(facts)
        return
    console.print(
        f"{facts['answers']:,.0f} answers, {facts['tokens_written']:,.0f} tokens, {facts['hours']:,.1f} h at "
        f"{pace:g} tokens/s on {kilojoules:g} kJ ({facts['joules_per_answer']:.3g} J an answer)",
        highlight=False,
    )
    console.print(facts["source"], highlight=False, soft_wrap=True)


@models.command()
def calibrate(
    name: Annotated[str, typer.Argument(help="The fleet member, which is started for it.")],
    watts: Annotated[float | None, typer.Option(min=0.001, help="Watts while it answers.")] = None,
    log: Annotated[
        Path | None, typer.Option(help="CSV of Unix seconds and watts, written meanwhile.")
    ] = None,
    meter: Annotated[str | None, typer.Option(help="rapl, nvml or nvml:NUMBER.")] = None,
    source: Annotated[str, typer.Option(help="Where the watts come from; needed with watts and log.")] = "",
    answers: Annotated[int, typer.Option(min=4, max=1000, help="How many to ask for.")] = 20,
    config: ConfigOption = DEFAULT_PATH,
    json: JsonOption = False,
) -> None:
    """Ask a member questions and divide what that took over its tokens: figures for router.yaml.

    Example: [bold]pinnace models calibrate smollm2-135m --watts 12 --source "socket meter"[/bold]
    """
    if sum(each is not None for each in (watts, log, meter)) != 1:
        raise ConfigError("expected one of --watts, --log and --meter")
    if meter is None and not source:
        raise ConfigError("expected --source: where the watts come from")
    quiet_engines()
    energy = asyncio.run(_calibrate(name, config, answers, (watts, log, meter), source))
    section = energy.model_dump(exclude_none=True)
    if json:
        print_json(section)
        return
    console.print("energy:", highlight=False)
    for key, value in section.items():
        console.print(f"  {key}: {value!r}", highlight=False, soft_wrap=True)


def _energy(name: str, config: Path, load: Any, physics: Any, *, is_estimate: bool) -> Energy:
    """The figures of a member that has some, else an estimate from the shape of what `name` means."""
    from pinnace.models.energy.estimate import estimated
    from pinnace.models.shapes.card import read_shape

    member = member_of(name, config)
    if (
        not is_estimate
        and member is not None
        and member.energy is not None
        and member.energy.source is not None
    ):
        return member.energy
    if isinstance(member, AdapterMember):  # runs in its base, and is small beside it
        name, member = member.base, member_of(member.base, config)
    return estimated(read_shape(folder_of(name, member)), load, physics)


async def _calibrate(
    name: str, config: Path, answers: int, by: tuple[float | None, Path | None, str | None], source: str
) -> Energy:
    from pinnace.models.energy.fit import Run, calibrated, calibration_runs, with_log, with_watts
    from pinnace.models.energy.meter import open_meter
    from pinnace.models.fleet import make_backend

    watts, log, meter = by
    member = member_of(name, config)
    if member is None:
        raise ConfigError(f"expected a member of the fleet, got {name!r}")
    if isinstance(member, AdapterMember):
        raise MeterError(f"{name}: runs in the engine of {member.base!r}: calibrate that")
    if member.backend == "openai":
        raise MeterError(f"{name}: runs elsewhere; what it takes cannot be measured here")
    read = open_meter(meter).read if meter is not None else lambda: 0.0
    backend = make_backend(member)
    await backend.start()
    try:
        await _asked(backend, 2)
        runs: Sequence[Run] = [run async for run in calibration_runs(backend, answers, time.time, read)]
    finally:
        await backend.drain()
    if watts is not None:
        return calibrated(with_watts(runs, watts), f"{watts:g} W, {source}")
    if log is not None:
        return calibrated(with_log(runs, log), f"log of watts, {source}")
    return calibrated(runs, f"meter {meter}{source and f', {source}'}")


async def _asked(backend: Any, answers: int) -> None:
    """Warm up: what a first answer takes is no answer's usual."""
    from pinnace.models.energy.fit import calibration_runs

    async for _ in calibration_runs(backend, answers, time.time):
        pass
