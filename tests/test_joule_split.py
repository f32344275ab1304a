"""Whose joules a meter counts: parts of a batch, idle time, and members that share a meter."""

import logging
import sys

import pytest
from router_fixtures import ASKED
from server_fixtures import member

from pinnace.config import Energy, ScriptedMember
from pinnace.errors import MeterError
from pinnace.models.energy.split import FRESH_S, JouleSplit, MeteredBackend, metered, split_of
from pinnace.models.fleet import make_backend
from pinnace.models.scripted import ScriptedBackend


class Told:
    """A meter that says what it is told, and a clock beside it."""

    name = "told"

    def __init__(self) -> None:
        self.joules: float | None = 100.0
        self.now = 0.0

    def read(self) -> float:
        if self.joules is None:
            raise MeterError("unplugged")
        return self.joules

    def clock(self) -> float:
        return self.now

    def spend(self, joules: float) -> None:
        assert self.joules is not None
        self.joules += joules
        self.now += 2 * FRESH_S


def test_what_is_spent_meanwhile_is_divided_among_those_that_run() -> None:
    meter = Told()
    split = JouleSplit(meter, meter.clock)
    meter.spend(7)  # nobody's
    one = split.enter()
    meter.spend(4)
    other = split.enter()
    meter.spend(6)
    assert (split.since(one), split.since(other)) == (4 + 3, 3)
    assert split.leave(one) == 7
    meter.spend(5)
    assert split.leave(other) == 3 + 5
    meter.spend(2)
    assert split.enter() == 12
    assert split.idle_joules == 9


def test_between_two_readings_the_last_one_counts() -> None:
    meter = Told()
    split = JouleSplit(meter, meter.clock)
    mark = split.enter()
    meter.joules = 101.0
    assert split.since(mark) == 0
    meter.now += 2 * FRESH_S
    assert split.since(mark) == 1


def test_a_meter_that_fails_gives_nothing_from_then_on(caplog: pytest.LogCaptureFixture) -> None:
    meter = Told()
    split = JouleSplit(meter, meter.clock)
    mark = split.enter()
    meter.joules = None
    meter.now += 2 * FRESH_S
    with caplog.at_level(logging.ERROR):
        assert (split.since(mark), split.leave(mark)) == (None, None)
        split.enter()
    assert [record.getMessage() for record in caplog.records] == ["energy is measured no longer: unplugged"]


def with_meter(meter: str) -> ScriptedMember:
    said = {"answer": "one two three"}
    return member("small", said).model_copy(update={"energy": Energy(meter=meter)})


async def test_an_answer_s_usage_tells_what_the_meter_gave() -> None:
    meter = Told()
    split = JouleSplit(meter, meter.clock)
    backend = MeteredBackend(ScriptedBackend(with_meter("rapl")), split)
    seen: list[float | None] = []
    async for delta in backend.stream(ASKED):
        assert delta.usage is not None
        seen.append(delta.usage.joules)
        meter.spend(2)
    assert seen == [0, 2, 4, 6]
    assert backend.card.energy == Energy(meter="rapl")
    assert backend.running == 0
    meter.spend(1)
    split.enter()
    assert split.idle_joules == 1  # the last two were the answer's, which had not ended


async def test_an_answer_that_is_broken_off_runs_no_longer() -> None:
    meter = Told()
    split = JouleSplit(meter, meter.clock)
    stream = MeteredBackend(ScriptedBackend(with_meter("rapl")), split).stream(ASKED)
    await anext(stream)
    await stream.aclose()
    meter.spend(3)
    split.enter()
    assert split.idle_joules == 3


def test_a_member_whose_meter_cannot_be_read_serves_without(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    split_of.cache_clear()
    with caplog.at_level(logging.WARNING):
        backend = make_backend(with_meter("nvml:7"))
    assert isinstance(backend, ScriptedBackend)
    assert "small: its energy is not measured: nvml: needs pinnace[nvml]" in caplog.text


def test_members_share_one_split_of_one_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    split_of.cache_clear()
    monkeypatch.setattr("pinnace.models.energy.split.open_meter", lambda name: Told())
    one, other = (metered(with_meter("rapl"), ScriptedBackend(with_meter("rapl"))) for _ in range(2))
    assert isinstance(one, MeteredBackend)
    assert isinstance(other, MeteredBackend)
    assert one._split is other._split
    split_of.cache_clear()


def test_a_member_without_a_meter_pays_nothing_for_one() -> None:
    backend = ScriptedBackend(member("small", {"answer": "a"}))
    assert metered(member("small", {"answer": "a"}), backend) is backend
