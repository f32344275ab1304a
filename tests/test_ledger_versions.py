"""Ledgers that earlier versions wrote: read as they are, upgraded in place, and losing nothing."""

import re
import sqlite3
import threading
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path

import pytest
from router_fixtures import ROW

from pinnace.errors import ConfigError
from pinnace.router import ledger as module
from pinnace.router.ledger import Ledger, read_ledger
from pinnace.router.ledger_feedback import CREATE_FEEDBACK, INSERT_FEEDBACK, Feedback, read_feedback
from pinnace.router.ledger_row import LedgerRow

LATER = ("key", "joules", "joules_source", "private", "system")
"""Columns that the first version did not have."""


def first_version(ledger_path: Path) -> None:
    """A ledger as version 1 wrote it, with one row."""
    ledger_path.parent.mkdir()
    columns = [field.name for field in fields(LedgerRow) if field.name not in LATER]
    with closing(sqlite3.connect(ledger_path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(f"CREATE TABLE requests ({', '.join(columns)})")
        database.execute("CREATE INDEX requests_created ON requests (created)")
        database.execute(
            f"INSERT INTO requests VALUES ({', '.join('?' * len(columns))})",
            [getattr(ROW, name) for name in columns],
        )
        database.execute("PRAGMA user_version=1")
        database.commit()


def test_a_ledger_of_the_first_version_can_be_read(ledger_path: Path) -> None:
    first_version(ledger_path)
    assert (read_ledger(ledger_path), read_feedback(ledger_path)) == ([ROW], {})


def test_a_ledger_of_the_first_version_is_upgraded_in_place(ledger_path: Path) -> None:
    first_version(ledger_path)
    for _ in range(2):
        ledger = Ledger(ledger_path)
        ledger.start()
        ledger.add(ROW)
        ledger.rate(ROW.request_id, 0.5)
        ledger.stop()
    assert (read_ledger(ledger_path), len(read_feedback(ledger_path)[ROW.request_id])) == ([ROW] * 3, 2)
    with closing(sqlite3.connect(ledger_path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (5,)


def second_version(ledger_path: Path) -> None:
    """A ledger as version 2 wrote it, with one row and one rating."""
    first_version(ledger_path)
    with closing(sqlite3.connect(ledger_path)) as database:
        database.execute(CREATE_FEEDBACK)
        database.execute(INSERT_FEEDBACK, Feedback(ROW.request_id, 1.0, 2.0, None).values())
        database.execute("PRAGMA user_version=2")
        database.commit()


def test_a_ledger_of_the_second_version_can_be_read(ledger_path: Path) -> None:
    second_version(ledger_path)
    assert read_ledger(ledger_path) == [ROW]


def test_a_ledger_of_the_second_version_is_upgraded_in_place_and_loses_nothing(ledger_path: Path) -> None:
    second_version(ledger_path)
    for _ in range(2):
        ledger = Ledger(ledger_path)
        ledger.start()
        ledger.add(replace(ROW, key="alice"))
        ledger.stop()
        assert ledger.dropped == 0
    assert [row.key for row in read_ledger(ledger_path)] == ["", "alice", "alice"]
    assert [each.rating for each in read_feedback(ledger_path)[ROW.request_id]] == [1.0]
    assert Ledger(ledger_path).spent_by_key()["alice"][0] == pytest.approx(2 * ROW.cost_usd)


def third_version(ledger_path: Path) -> None:
    """A ledger as version 3 wrote it, with one row."""
    second_version(ledger_path)
    with closing(sqlite3.connect(ledger_path)) as database:
        database.execute("ALTER TABLE requests ADD COLUMN key DEFAULT 'alice'")
        database.execute("PRAGMA user_version=3")
        database.commit()


def test_a_ledger_of_the_third_version_is_upgraded_in_place_and_knows_no_joules_of_old_rows(
    ledger_path: Path,
) -> None:
    third_version(ledger_path)
    old = replace(ROW, key="alice")
    assert read_ledger(ledger_path) == [old]
    new = replace(ROW, joules=2.5, joules_source="large: measured: rapl")
    for _ in range(2):
        ledger = Ledger(ledger_path)
        ledger.start()
        ledger.add(new)
        ledger.stop()
        assert ledger.dropped == 0
    assert read_ledger(ledger_path) == [old, new, new]


def test_an_upgrade_that_breaks_off_leaves_the_ledger_as_it_was(
    ledger_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second_version(ledger_path)
    monkeypatch.setattr(module, "_ADD", "ALTER TABLE nowhere ADD COLUMN {column}")
    with pytest.raises(ConfigError, match="cannot be opened"):
        Ledger(ledger_path).start()
    with closing(sqlite3.connect(ledger_path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (2,)
    assert read_ledger(ledger_path) == [ROW]


def test_two_that_upgrade_at_once_upgrade_once(ledger_path: Path) -> None:
    second_version(ledger_path)
    ledgers = [Ledger(ledger_path) for _ in range(4)]
    threads = [threading.Thread(target=ledger.start) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    for ledger in ledgers:
        ledger.add(replace(ROW, key="alice"))
        ledger.stop()
    assert [row.key for row in read_ledger(ledger_path)] == ["", *["alice"] * 4]


def test_another_version_is_refused(ledger_path: Path) -> None:
    ledger_path.parent.mkdir()
    with closing(sqlite3.connect(ledger_path)) as database:
        database.execute("PRAGMA user_version=7")
    with pytest.raises(
        ConfigError, match=re.escape(f"ledger.path: {str(ledger_path)!r} is of version 7, expected 5")
    ):
        Ledger(ledger_path).start()
