"""Calibration: what answers took, divided over their tokens, from watts, a log of watts or a meter."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from router_fixtures import scripted

from pinnace.errors import MeterError
from pinnace.models.energy.fit import Run, calibrated, calibration_runs, with_log, with_watts

TOKENS = [(400, 8), (8, 100), (410, 8), (9, 90)]


def runs(read: float, written: float) -> list[Run]:
    """Runs that took so many joules a token, at one watt."""
    spent = [a * read + b * written for a, b in TOKENS]
    ends = np.cumsum(spent).tolist()
    return [Run(a, b, end - s, end) for (a, b), s, end in zip(TOKENS, spent, ends, strict=True)]


@given(st.floats(0, 1), st.floats(0.001, 10))
def test_figures_that_made_the_runs_are_found_again(read: float, written: float) -> None:
    energy = calibrated(with_watts(runs(read, written), 3.0), "3 W, a socket meter")
    assert energy.input == pytest.approx(3000 * read, rel=1e-6, abs=1e-6)
    assert energy.output == pytest.approx(3000 * written, rel=1e-6)
    assert energy.basis == "calibrated"
    assert energy.source == "3 W, a socket meter; 4 answers one after the other, residual 0.0%"


def test_no_figure_is_below_zero() -> None:
    energy = calibrated([Run(400, 8, 0, 1, 1.0), Run(8, 100, 0, 1, 100.0)], "x")
    assert energy.input == 0
    assert energy.output is not None
    assert energy.output > 0


@pytest.mark.parametrize(
    "bad", [[], [Run(8, 100, 0, 1, 2.0)] * 3, [Run(8, 100, 0, 1), Run(100, 8, 0, 1)]], ids=len
)
def test_runs_that_tell_nothing_are_refused(bad: list[Run]) -> None:
    with pytest.raises(MeterError, match=f"that took energy, got {len(bad)} runs"):
        calibrated(bad, "x")


def test_a_log_of_watts_is_integrated_over_each_run(tmp_path: Path) -> None:
    path = tmp_path / "watts.csv"
    path.write_text("time,watts\n100,10\n110,10\n120,30\n130,30\n")
    done = with_log([Run(1, 1, 105, 110), Run(1, 1, 110, 120), Run(1, 1, 115, 122.5)], path)
    assert [run.joules for run in done] == [50, 200, 5 * 25 + 2.5 * 30]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("106,10\n130,10\n", "expected readings from 105 to 120, got 106 to 130"),
        ("100,10\n119,10\n", "expected readings from 105 to 120, got 100 to 119"),
        ("100,10\n", "expected two and more readings"),
        ("", "expected two and more readings"),
        ("130,10\n100,10\n", "in ascending time"),
        ("100,-1\n130,10\n", "watts from 0"),
        ("100,nan\n130,10\n", "watts from 0"),
        ("100\n130\n", "expected lines of Unix seconds and watts"),
        ("100,ten\n", "expected lines of Unix seconds and watts"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_log_that_is_none_or_does_not_cover_the_runs_is_refused(
    tmp_path: Path, text: str | None, said: str
) -> None:
    path = tmp_path / "watts.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(MeterError, match=said):
        with_log([Run(1, 1, 105, 120)], path)


async def test_prompts_and_answers_are_long_by_turns_and_the_meter_is_read_around_each() -> None:
    clock, joules = iter(range(100)), iter(range(0, 1000, 7))
    backend = scripted("small", "one two three four")
    done = [
        run async for run in calibration_runs(backend, 4, lambda: float(next(clock)), lambda: next(joules))
    ]
    assert [run.prompt_tokens > 100 for run in done] == [False, True, False, True]
    assert [run.completion_tokens for run in done] == [4, 4, 4, 4]
    assert [(run.began, run.ended, run.joules) for run in done] == [(2 * i, 2 * i + 1, 7) for i in range(4)]
    assert len({request.text() for request in backend.requests}) == 4
