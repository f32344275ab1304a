"""The ledger: every row on disk, and never an answer that waits for one."""

import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path

import pytest
from router_fixtures import ROW

from pinnace.errors import ConfigError
from pinnace.models.completion import Usage
from pinnace.router import ledger as module
from pinnace.router.answer import Attempt
from pinnace.router.ledger import Ledger, has_request, read_ledger
from pinnace.router.ledger_feedback import CREATE_FEEDBACK, INSERT_FEEDBACK, Feedback, read_feedback
from pinnace.router.ledger_row import LedgerRow, attempts_json


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Generator[Ledger, None, None]:
    ledger = Ledger(path)
    ledger.start()
    yield ledger
    ledger.stop()


def test_a_row_comes_back_as_it_was_written(ledger: Ledger, path: Path) -> None:
    plain = replace(ROW, request_id="2", created=ROW.created + 1, confidence=None, escalated=False)
    told = replace(ROW, request_id="3", created=ROW.created + 2, prompt="Où est-ce?", answer="Là. 🚢")
    for row in (told, ROW, plain):
        ledger.add(row)
    ledger.stop()
    assert read_ledger(path) == [ROW, plain, told]
    assert [row.escalated for row in read_ledger(path)] == [True, False, True]
    assert ledger.dropped == 0


def test_two_requests_of_one_name_and_moment_are_two_rows(ledger: Ledger, path: Path) -> None:
    ledger.add(ROW)
    ledger.add(ROW)
    ledger.stop()
    assert read_ledger(path) == [ROW, ROW]


def test_attempts_are_json(ledger: Ledger, path: Path) -> None:
    attempts = [
        Attempt("small", Usage(6, 2), 0.000008, "climbed", "confidence 0.20 is below 0.50", 0.2),
        Attempt("large", Usage(6, 3), 0.00009, "accepted", "escalated", None),
    ]
    ledger.add(replace(ROW, attempts=attempts_json(attempts)))
    ledger.stop()
    (row,) = read_ledger(path)
    first, second = json.loads(row.attempts)
    assert first == {
        "model": "small",
        "usage": {"prompt_tokens": 6, "completion_tokens": 2},
        "cost_usd": 0.000008,
        "verdict": "climbed",
        "why": "confidence 0.20 is below 0.50",
        "confidence": 0.2,
        "bar": None,
        "is_whole": False,
        "evidence": {},
    }
    assert second["confidence"] is None


def test_the_text_of_a_draft_is_kept_only_where_text_is_stored() -> None:
    evidence = {"whole": {"mean": -0.5}}
    draft = Attempt("small", Usage(6, 2), 0.0, "climbed", "why", 0.2, 0.5, True, evidence, "Plughtown")
    (bare,), (told,) = json.loads(attempts_json([draft])), json.loads(attempts_json([draft], store_text=True))
    assert "text" not in bare
    assert told == bare | {"text": "Plughtown"}
    assert (bare["bar"], bare["is_whole"], bare["evidence"]) == (0.5, True, evidence)


def test_a_rating_comes_back_and_the_last_one_last(ledger: Ledger, path: Path) -> None:
    ledger.add(ROW)
    for rating in (1.0, 0.25):
        ledger.rate(ROW.request_id, rating)
    ledger.stop()
    ratings = read_feedback(path)[ROW.request_id]
    assert [each.rating for each in ratings] == [1.0, 0.25]
    assert ratings[0].created == pytest.approx(time.time(), abs=60)
    assert read_ledger(path) == [ROW]


@pytest.mark.parametrize(("store_text", "kept"), [(False, None), (True, "no, Plughtown is")])
def test_a_comment_is_kept_only_where_text_is_stored(path: Path, store_text: bool, kept: str | None) -> None:
    ledger = Ledger(path, store_text=store_text)
    ledger.start()
    ledger.rate("a", 0, "no, Plughtown is")
    ledger.stop()
    assert [each.comment for each in read_feedback(path)["a"]] == [kept]
    assert any(b"Plughtown" in file.read_bytes() for file in path.parent.iterdir()) == store_text


@pytest.mark.parametrize("rating", [-0.1, 1.1, float("nan")])
def test_what_is_no_rating_is_refused(ledger: Ledger, path: Path, rating: float) -> None:
    with pytest.raises(ValueError, match="expected a number from 0 to 1, got"):
        ledger.rate("a", rating)
    ledger.stop()
    assert read_feedback(path) == {}


def test_it_is_known_which_requests_were_served(ledger: Ledger, path: Path) -> None:
    ledger.add(ROW)
    ledger.stop()
    assert has_request(path, ROW.request_id)
    assert not has_request(path, "another")


def first_version(path: Path) -> None:
    """A ledger as version 1 wrote it, with one row."""
    path.parent.mkdir()
    columns = [field.name for field in fields(LedgerRow) if field.name != "key"]
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(f"CREATE TABLE requests ({', '.join(columns)})")
        database.execute("CREATE INDEX requests_created ON requests (created)")
        database.execute(
            f"INSERT INTO requests VALUES ({', '.join('?' * len(columns))})",
            [getattr(ROW, name) for name in columns],
        )
        database.execute("PRAGMA user_version=1")
        database.commit()


def test_a_ledger_of_the_first_version_can_be_read(path: Path) -> None:
    first_version(path)
    assert (read_ledger(path), read_feedback(path)) == ([ROW], {})


def test_a_ledger_of_the_first_version_is_upgraded_in_place(path: Path) -> None:
    first_version(path)
    for _ in range(2):
        ledger = Ledger(path)
        ledger.start()
        ledger.add(ROW)
        ledger.rate(ROW.request_id, 0.5)
        ledger.stop()
    assert (read_ledger(path), len(read_feedback(path)[ROW.request_id])) == ([ROW] * 3, 2)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (3,)


def second_version(path: Path) -> None:
    """A ledger as version 2 wrote it, with one row and one rating."""
    first_version(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute(CREATE_FEEDBACK)
        database.execute(INSERT_FEEDBACK, Feedback(ROW.request_id, 1.0, 2.0, None).values())
        database.execute("PRAGMA user_version=2")
        database.commit()


def test_a_ledger_of_the_second_version_can_be_read(path: Path) -> None:
    second_version(path)
    assert read_ledger(path) == [ROW]


def test_a_ledger_of_the_second_version_is_upgraded_in_place_and_loses_nothing(path: Path) -> None:
    second_version(path)
    for _ in range(2):
        ledger = Ledger(path)
        ledger.start()
        ledger.add(replace(ROW, key="alice"))
        ledger.stop()
        assert ledger.dropped == 0
    assert [row.key for row in read_ledger(path)] == ["", "alice", "alice"]
    assert [each.rating for each in read_feedback(path)[ROW.request_id]] == [1.0]
    assert Ledger(path).spent_by_key()["alice"][0] == pytest.approx(2 * ROW.cost_usd)


def test_an_upgrade_that_breaks_off_leaves_the_ledger_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second_version(path)
    monkeypatch.setattr(module, "_ADD_KEY", "ALTER TABLE nowhere ADD COLUMN key")
    with pytest.raises(ConfigError, match="cannot be opened"):
        Ledger(path).start()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (2,)
    assert read_ledger(path) == [ROW]


def test_two_that_upgrade_at_once_upgrade_once(path: Path) -> None:
    second_version(path)
    ledgers = [Ledger(path) for _ in range(4)]
    threads = [threading.Thread(target=ledger.start) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    for ledger in ledgers:
        ledger.add(replace(ROW, key="alice"))
        ledger.stop()
    assert [row.key for row in read_ledger(path)] == ["", *["alice"] * 4]


def test_it_is_in_wal_mode_and_of_this_version(ledger: Ledger, path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("PRAGMA user_version").fetchone() == (module.VERSION,)


def test_rows_can_be_read_while_it_is_written(ledger: Ledger, path: Path) -> None:
    ledger.add(ROW)
    deadline = time.monotonic() + 5
    while not read_ledger(path) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert read_ledger(path) == [ROW]


def test_it_goes_on_where_it_stopped(path: Path) -> None:
    for number in range(3):
        ledger = Ledger(path)
        ledger.start()
        ledger.start()
        ledger.add(replace(ROW, created=float(number)))
        ledger.stop()
        ledger.stop()
    assert [row.created for row in read_ledger(path)] == [0, 1, 2]


def test_many_rows_are_written_in_batches(ledger: Ledger, path: Path) -> None:
    for number in range(2_500):
        ledger.add(replace(ROW, created=float(number)))
    ledger.stop()
    assert [row.created for row in read_ledger(path)] == list(range(2_500))


def test_adding_never_waits_for_a_disk_that_hangs(ledger: Ledger, path: Path) -> None:
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
    assert len(read_ledger(path)) == 5_000


def test_beyond_what_may_wait_rows_are_dropped_and_counted(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 10)
    ledger = Ledger(path)
    for _ in range(15):
        ledger.add(ROW)
    assert ledger.dropped == 5
    ledger.start()
    ledger.stop()
    assert len(read_ledger(path)) == 10


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
    ledger: Ledger, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(path)) as database:
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
    path: Path, bad: LedgerRow, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger(path)
    for row in (ROW, bad, ROW):
        ledger.add(row)
    ledger.start()
    ledger.stop()
    assert read_ledger(path) == [ROW, ROW]
    assert ledger.dropped == 1
    assert "1 rows not written" in caplog.text


WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_ledger import ROW
from pinnace.router.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
ledger.start()
for number in range(500):
    ledger.add(replace(ROW, request_id=sys.argv[3], created=float(number)))
ledger.stop()
raise SystemExit(ledger.dropped)
"""


def test_two_processes_write_into_one(path: Path) -> None:
    here = os.path.dirname(__file__)
    command = [sys.executable, "-c", WRITER, str(path), here]
    writers = [subprocess.Popen([*command, name], stderr=subprocess.PIPE) for name in ("a", "b")]
    failed = [(writer.wait(60), writer.communicate()[1]) for writer in writers]
    assert failed == [(0, b""), (0, b"")]
    rows = read_ledger(path)
    for name in ("a", "b"):
        assert [row.created for row in rows if row.request_id == name] == list(range(500))


def test_another_version_is_refused(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version=7")
    with pytest.raises(
        ConfigError, match=re.escape(f"ledger.path: {str(path)!r} is of version 7, expected 3")
    ):
        Ledger(path).start()


def test_what_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"these are not rows" * 1000)
    with pytest.raises(ConfigError, match="cannot be opened: file is not a database"):
        Ledger(path).start()
    for read in (read_ledger, read_feedback):
        with pytest.raises(ConfigError, match="is not a ledger"):
            read(path)


@pytest.mark.parametrize("place", ["file/ledger.sqlite", "folder"])
def test_where_no_file_can_be_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match=r"^ledger.path: .* cannot be opened"):
        Ledger(tmp_path / place).start()


def test_reading_a_ledger_that_is_not_there_makes_none(path: Path) -> None:
    for read in (read_ledger, read_feedback):
        with pytest.raises(ConfigError, match="no ledger at"):
            read(path)
    assert not path.exists()


def test_rows_wait_while_another_process_has_the_file_locked(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "BUSY_S", 0.02)
    ledger = Ledger(path)
    ledger.start()
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        ledger.add(ROW)
        assert time.monotonic() - began < 0.01
        deadline = time.monotonic() + 10
        while "rows wait" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.01)
        other.rollback()
    ledger.stop()
    assert (ledger.dropped, read_ledger(path)) == (0, [ROW])


def test_a_stop_waits_for_no_other_process(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY_S", 0.02)
    ledger = Ledger(path)
    ledger.start()
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        ledger.add(ROW)
        ledger.stop()
        other.rollback()
    assert (ledger.dropped, read_ledger(path)) == (1, [])
