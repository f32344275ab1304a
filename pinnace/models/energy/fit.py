"""Joules per thousand tokens out of a calibration run: what answers took, divided over their tokens.

Least squares over the answers, neither figure below zero. Joules are a meter's, or watts times seconds, where
the watts are one number or the log of a meter at the socket. Idle power during an answer is part of it.
"""

import csv
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from scipy.optimize import nnls  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

from pinnace.config import Energy
from pinnace.errors import MeterError
from pinnace.models.backend import Backend
from pinnace.models.completion import Message, Request, Usage

MOST_LOG_BYTES = 64_000_000
LONG, SHORT = 400, 8
"""Words of a long prompt and of a short one; tokens of answers to them the other way round."""
_WORD = "harbour "


@dataclass(frozen=True, slots=True)
class Run:
    """One answer of the calibration: its tokens, Unix seconds of its beginning and end, and its joules."""

    prompt_tokens: int
    completion_tokens: int
    began: float
    ended: float
    joules: float = 0.0


async def calibration_runs(
    backend: Backend, answers: int, clock: Callable[[], float], read: Callable[[], float] = lambda: 0.0
) -> AsyncGenerator[Run, None]:
    """Ask `backend` one question after the other, long and short by turns.

    :param clock: Unix seconds.
    :param read: a meter's joules so far.
    """
    for number in range(answers):
        words, tokens = (LONG, SHORT) if number % 2 else (SHORT, LONG // 4)
        prompt = f"{number}: tell me about this place. {_WORD * words}"
        request = Request((Message("user", prompt),), max_tokens=tokens, temperature=0.0)
        usage, began, before = Usage(), clock(), read()
        async with aclosing(backend.stream(request)) as deltas:
            async for delta in deltas:
                usage = delta.usage or usage
        yield Run(usage.prompt_tokens, usage.completion_tokens, began, clock(), read() - before)


def with_watts(runs: Sequence[Run], watts: float) -> list[Run]:
    """The runs at so many watts throughout."""
    return [replace(run, joules=watts * (run.ended - run.began)) for run in runs]


def with_log(runs: Sequence[Run], path: Path) -> list[Run]:
    """The runs by a log of watts: a CSV of Unix seconds and watts, a line a reading, straight lines between.

    :raises MeterError: when it is no such log, or does not cover the runs.
    """
    times, watts = _read_log(path)
    first, last = min(run.began for run in runs), max(run.ended for run in runs)
    if times[0] > first or times[-1] < last:
        got = f"{times[0]:.0f} to {times[-1]:.0f}"
        raise MeterError(f"{path}: expected readings from {first:.0f} to {last:.0f}, got {got}")
    spent = np.concatenate([[0.0], np.cumsum(np.diff(times) * (watts[1:] + watts[:-1]) / 2)])

    def joules_until(moment: float) -> float:
        at = int(np.searchsorted(times, moment, side="right")) - 1
        now = float(np.interp(moment, times, watts))
        return float(spent[at] + (moment - times[at]) * (watts[at] + now) / 2)

    return [replace(run, joules=joules_until(run.ended) - joules_until(run.began)) for run in runs]


def calibrated(runs: Sequence[Run], source: str) -> Energy:
    """Joules per 1,000 tokens, read and written, that fit the runs best.

    :param source: where the joules of the runs come from.
    :raises MeterError: where the runs took nothing, or do not tell reading from writing.
    """
    tokens = np.array([[run.prompt_tokens, run.completion_tokens] for run in runs], dtype=float).reshape(
        -1, 2
    )
    joules = np.array([run.joules for run in runs])
    if len(runs) < 2 or np.linalg.matrix_rank(tokens) < 2 or joules.sum() <= 0:
        raise MeterError(f"expected answers of different lengths that took energy, got {len(runs)} runs")
    solve = cast(Any, nnls)
    found, residual = solve(tokens, joules)
    read, written = (float(each) * 1000 for each in found)
    error = float(residual) / float(np.linalg.norm(joules))
    said = f"{source}; {len(runs)} answers one after the other, residual {error:.1%}"
    return Energy(input=read, output=written, basis="calibrated", source=said)


def _read_log(path: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    try:
        if path.stat().st_size > MOST_LOG_BYTES:
            raise MeterError(f"{path}: expected at most {MOST_LOG_BYTES} bytes")
        with path.open(encoding="utf-8", newline="") as file:
            rows = [
                (float(row[0]), float(row[1])) for row in csv.reader(file) if row and row[0][:1].isdigit()
            ]
    except OSError as error:
        raise MeterError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, IndexError):
        raise MeterError(f"{path}: expected lines of Unix seconds and watts, with a comma between") from None
    times, watts = np.array(rows, dtype=float).reshape(-1, 2).T
    if len(times) < 2 or not np.all(np.isfinite(watts)) or np.any(watts < 0) or np.any(np.diff(times) <= 0):
        raise MeterError(f"{path}: expected two and more readings in ascending time, watts from 0")
    return times, watts
