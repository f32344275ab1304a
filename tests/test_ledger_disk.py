"""Disks that hang, break or are locked: an answer never waits for one, and rows that are lost are counted."""

import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from router_fixtures import ROW

from pinnace.errors import ConfigError
from pinnace.router import ledger as module
from pinnace.router.ledger import Ledger, read_ledger
from pinnace.router.ledger_feedback import read_feedback
from pinnace.router.ledger_row import LedgerRow


def test_adding_never_waits_for_a_disk_that_hangs(ledger: Ledger, ledger_path: Path) -> None:
    go = threading.Event()
    insert = ledger._insert
    ledger._insert = lambda *args: (go.wait(10), insert(*args))
    began = time.perf_counter()
    for _ in range(5_000):
        ledger.add(ROW)
    took = time.perf_counter() - began
    go.set()
    ledger.stop()
    assert took < 2
    assert len(read_ledger(ledger_path)) == 5_000


def test_beyond_what_may_wait_rows_are_dropped_and_counted(
    ledger_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 10)
    ledger = Ledger(ledger_path)
    for _ in range(15):
        ledger.add(ROW)
    assert ledger.dropped == 5
    ledger.start()
    ledger.stop()
    assert len(read_ledger(ledger_path)) == 10


def test_stopping_does_not_wait_for_ever_for_a_disk_that_hangs(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    go = threading.Event()
    ledger._insert = lambda *args: go.wait(10)
    monkeypatch.setattr(module, "STOP_S", 0.05)
    thread = ledger._thread
    ledger.add(ROW)
    ledger.stop()
    assert "the disk hangs" in caplog.text
    go.set()
    assert thread is not None
    thread.join(5)


def test_a_broken_disk_costs_rows_and_says_so(
    ledger: Ledger, ledger_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(ledger_path)) as database:
        database.execute("DROP TABLE requests")
        database.commit()
    ledger.add(ROW)
    ledger.add(ROW)
    ledger.stop()
    assert ledger.dropped == 2
    assert "no such table" in caplog.text


@pytest.mark.parametrize(
    "bad", [replace(ROW, prompt_tokens=10**30), replace(ROW, why="\ud800")], ids=["too large", "no text"]
)
def test_a_row_that_cannot_be_held_takes_no_other_with_it(
    ledger_path: Path, bad: LedgerRow, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger(ledger_path)
    for row in (ROW, bad, ROW):
        ledger.add(row)
    ledger.start()
    ledger.stop()
    assert read_ledger(ledger_path) == [ROW, ROW]
    assert ledger.dropped == 1
    assert "1 rows not written" in caplog.text


def test_what_is_no_database_is_refused(ledger_path: Path) -> None:
    ledger_path.parent.mkdir()
    ledger_path.write_bytes(b"these are not rows" * 1000)
    with pytest.raises(ConfigError, match="cannot be opened: file is not a database"):
        Ledger(ledger_path).start()
    for read in (read_ledger, read_feedback):
        with pytest.raises(ConfigError, match="is not a ledger"):
            read(ledger_path)


@pytest.mark.parametrize("place", ["file/ledger.sqlite", "folder"])
def test_where_no_file_can_be_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match=r"^ledger.path: .* cannot be opened"):
        Ledger(tmp_path / place).start()


def test_reading_a_ledger_that_is_not_there_makes_none(ledger_path: Path) -> None:
    for read in (read_ledger, read_feedback):
        with pytest.raises(ConfigError, match="no ledger at"):
            read(ledger_path)
    assert not ledger_path.exists()


def test_rows_wait_while_another_process_has_the_file_locked(
    ledger_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "BUSY_S", 0.02)
    ledger = Ledger(ledger_path)
    ledger.start()
    with closing(sqlite3.connect(ledger_path)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        ledger.add(ROW)
        assert time.monotonic() - began < 0.01
        deadline = time.monotonic() + 10
        while "rows wait" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.01)
        other.rollback()
    ledger.stop()
    assert (ledger.dropped, read_ledger(ledger_path)) == (0, [ROW])


def test_a_stop_waits_for_no_other_process(ledger_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY_S", 0.02)
    ledger = Ledger(ledger_path)
    ledger.start()
    with closing(sqlite3.connect(ledger_path)) as other:
        other.execute("BEGIN IMMEDIATE")
        ledger.add(ROW)
        ledger.stop()
        other.rollback()
    assert (ledger.dropped, read_ledger(ledger_path)) == (1, [])
