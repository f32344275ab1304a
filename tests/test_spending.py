"""What each key has spent: in all and today, across midnight and restarts."""

from dataclasses import replace
from pathlib import Path

import pytest
from ledger_samples import write_ledger
from router_fixtures import ROW

from pinnace.router import ledger as module
from pinnace.router.ledger import Ledger
from pinnace.router.spending import DAY_S, Spending

NOON = 20_000 * DAY_S + DAY_S / 2


class Clock:
    now = NOON

    def __call__(self) -> float:
        return self.now


def test_a_day_ends_at_midnight_utc_and_the_total_goes_on() -> None:
    clock = Clock()
    spending = Spending(clock)
    spending.add("a", 1.0)
    spending.add("a", 0.5)
    spending.add("b", 9.0)
    assert (spending.today("a"), spending.total("a"), spending.today("c")) == (1.5, 1.5, 0)
    assert spending.until_midnight_s() == DAY_S / 2
    clock.now += DAY_S / 2
    assert (spending.today("a"), spending.total("a")) == (0, 1.5)
    spending.add("a", 1.0)
    assert (spending.today("a"), spending.total("a")) == (1.0, 2.5)


def test_filling_again_counts_nothing_twice() -> None:
    spending = Spending(Clock())
    for _ in range(2):
        spending.fill({"a": (3.0, 1.0)})
    assert (spending.total("a"), spending.today("a")) == (3.0, 1.0)


def test_the_ledger_knows_what_each_key_has_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        replace(ROW, key="a", cost_usd=1.0, created=NOON - DAY_S),
        replace(ROW, key="a", cost_usd=2.0, created=NOON - DAY_S / 2),
        replace(ROW, key="a", cost_usd=4.0, created=NOON - 1),
        replace(ROW, key="b", cost_usd=8.0, created=NOON - DAY_S),
        replace(ROW, key="", cost_usd=16.0, created=NOON),
    ]
    path = write_ledger(tmp_path / "ledger.sqlite", rows)
    monkeypatch.setattr(module.time, "time", lambda: NOON)
    assert Ledger(path).spent_by_key() == {"a": (7.0, 6.0), "b": (8.0, 0.0)}
