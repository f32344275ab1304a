"""The ledger: every row comes back as it was written, from however many threads and processes."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from router_fixtures import ROW

from pinnace.models.completion import Usage
from pinnace.router import ledger as module
from pinnace.router.answer import Attempt
from pinnace.router.ledger import Ledger, has_request, read_ledger
from pinnace.router.ledger_row import attempts_json


def test_a_row_comes_back_as_it_was_written(ledger: Ledger, ledger_path: Path) -> None:
    plain = replace(ROW, request_id="2", created=ROW.created + 1, confidence=None, escalated=False)
    told = replace(ROW, request_id="3", created=ROW.created + 2, prompt="Où est-ce?", answer="Là. 🚢")
    for row in (told, ROW, plain):
        ledger.add(row)
    ledger.stop()
    assert read_ledger(ledger_path) == [ROW, plain, told]
    assert [row.escalated for row in read_ledger(ledger_path)] == [True, False, True]
    assert ledger.dropped == 0


def test_two_requests_of_one_name_and_moment_are_two_rows(ledger: Ledger, ledger_path: Path) -> None:
    ledger.add(ROW)
    ledger.add(ROW)
    ledger.stop()
    assert read_ledger(ledger_path) == [ROW, ROW]


def test_attempts_are_json(ledger: Ledger, ledger_path: Path) -> None:
    attempts = [
        Attempt("small", Usage(6, 2), 0.000008, "climbed", "confidence 0.20 is below 0.50", 0.2),
        Attempt("large", Usage(6, 3), 0.00009, "accepted", "escalated", None),
    ]
    ledger.add(replace(ROW, attempts=attempts_json(attempts)))
    ledger.stop()
    (row,) = read_ledger(ledger_path)
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


def test_it_is_known_which_requests_were_served(ledger: Ledger, ledger_path: Path) -> None:
    ledger.add(ROW)
    ledger.stop()
    assert has_request(ledger_path, ROW.request_id)
    assert not has_request(ledger_path, "another")


def test_it_is_in_wal_mode_and_of_this_version(ledger: Ledger, ledger_path: Path) -> None:
    with closing(sqlite3.connect(ledger_path)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("PRAGMA user_version").fetchone() == (module.VERSION,)


def test_rows_can_be_read_while_it_is_written(ledger: Ledger, ledger_path: Path) -> None:
    ledger.add(ROW)
    deadline = time.monotonic() + 5
    while not read_ledger(ledger_path) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert read_ledger(ledger_path) == [ROW]


def test_it_goes_on_where_it_stopped(ledger_path: Path) -> None:
    for number in range(3):
        ledger = Ledger(ledger_path)
        ledger.start()
        ledger.start()
        ledger.add(replace(ROW, created=float(number)))
        ledger.stop()
        ledger.stop()
    assert [row.created for row in read_ledger(ledger_path)] == [0, 1, 2]


def test_many_rows_are_written_in_batches(ledger: Ledger, ledger_path: Path) -> None:
    for number in range(2_500):
        ledger.add(replace(ROW, created=float(number)))
    ledger.stop()
    assert [row.created for row in read_ledger(ledger_path)] == list(range(2_500))


WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from router_fixtures import ROW
from pinnace.router.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
ledger.start()
for number in range(500):
    ledger.add(replace(ROW, request_id=sys.argv[3], created=float(number)))
ledger.stop()
raise SystemExit(ledger.dropped)
"""


def test_two_processes_write_into_one(ledger_path: Path) -> None:
    here = os.path.dirname(__file__)
    command = [sys.executable, "-c", WRITER, str(ledger_path), here]
    writers = [subprocess.Popen([*command, name], stderr=subprocess.PIPE) for name in ("a", "b")]
    failed = [(writer.wait(60), writer.communicate()[1]) for writer in writers]
    assert failed == [(0, b""), (0, b"")]
    rows = read_ledger(ledger_path)
    for name in ("a", "b"):
        assert [row.created for row in rows if row.request_id == name] == list(range(500))
