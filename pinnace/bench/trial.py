"""A trial: one question about the server, asked a few times over; what came out, and whether it is enough.

Each repeat is a row of named figures, taken within that repeat; what is reported is their median. Knows
nothing of what is measured.
"""

import shlex
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pinnace.bench.hardware import Hardware, hardware, versions
from pinnace.bench.neighbours import Neighbours

Watch = Callable[[str], None]
"""Told what comes next."""
Figures = Mapping[str, float]
Bars = Mapping[str, tuple[str, float]]
"""By the figure's name: `at least` or `at most`, and what."""
NEIGHBOURS = "busy_cores_of_others"


@dataclass(frozen=True, slots=True)
class Trial:
    """One whole trial. `rows` are the figures of each repeat, `setting` what was put under which load.

    `series` is what was seen on the way, where a repeat is long.
    """

    name: str
    setting: str
    command: str
    hardware: Hardware
    versions: Mapping[str, str]
    bars: Bars
    rows: Sequence[Figures]
    series: Sequence[Figures] = ()

    @property
    def figures(self) -> dict[str, float]:
        """The median over the repeats, by name; figures that a repeat lacks are taken over the others."""
        names = dict.fromkeys(name for row in self.rows for name in row)
        return {name: median(row[name] for row in self.rows if name in row) for name in names}


async def repeated(
    name: str,
    setting: str,
    bars: Bars,
    repeats: int,
    once: Callable[[int], Awaitable[Figures]],
    watch: Watch,
    further_versions: Mapping[str, str] | None = None,
) -> Trial:
    """Run a trial.

    :param once: takes the figures of one repeat, by its number.
    """
    machine, rows = hardware(), list[Figures]()
    for repeat in range(repeats):
        watch(f"{name}: repeat {repeat + 1} of {repeats}")
        neighbours = Neighbours()
        figures = await once(repeat)
        cores = neighbours.cores()
        rows.append({**figures, **({} if cores is None else {NEIGHBOURS: cores})})
    return Trial(
        name=name,
        setting=setting,
        command=shlex.join(["pinnace", *sys.argv[1:]]),
        hardware=machine,
        versions={**versions(), **(further_versions or {})},
        bars=bars,
        rows=rows,
    )


def in_turn(sides: Sequence[str], repeat: int) -> Sequence[str]:
    """The sides in the order of this repeat: every second one goes backwards, so that drift favours none."""
    return sides if repeat % 2 == 0 else tuple(reversed(sides))


def is_met(bar: tuple[str, float], value: float) -> bool:
    """Whether `value` reaches `bar`."""
    kind, bound = bar
    return value >= bound if kind == "at least" else value <= bound


def as_json(trial: Trial) -> dict[str, Any]:
    """The figures on top, then bars, then where they come from, down to every repeat."""
    figures = trial.figures
    bars = {
        name: {kind: bound, "met": is_met((kind, bound), figures[name])}
        for name, (kind, bound) in trial.bars.items()
        if name in figures
    }
    rest = asdict(trial)
    rows = rest.pop("rows")
    return {**figures, **rest, "bars": bars, "repeats": len(rows), "rows": rows}


def as_text(trial: Trial) -> RenderableType:
    """The same for people."""
    machine = trial.hardware
    head = (
        f"{trial.setting}\n"
        f"{len(trial.rows)} repeats, medians, with the least and the most of them.\n"
        f"{machine.cpu}, {machine.cores} cores, {machine.memory_gib:g} GiB"
        f"{', ' + machine.accelerator if machine.accelerator else ''}; load {machine.load:g} at the start.\n"
        f"{', '.join(f'{name} {version}' for name, version in trial.versions.items())}\n"
        f"{trial.command}\n"
    )
    table = Table(trial.name, "median", "least", "most", "bar")
    for name, value in trial.figures.items():
        found = [row[name] for row in trial.rows if name in row]
        table.add_row(name, *(f"{each:.4g}" for each in (value, min(found), max(found))), _bar(trial, name))
    return Group(Text(head), table)


def _bar(trial: Trial, name: str) -> str:
    if name not in trial.bars:
        return ""
    kind, bound = trial.bars[name]
    met = is_met(trial.bars[name], trial.figures[name])
    return f"{'met' if met else 'MISSED'}: {kind} {bound:g}"
