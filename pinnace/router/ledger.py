"""The ledger: one row per served request, in SQLite, written by a thread of its own; and what people rated.

An answer never waits for it. Holds no prompt, answer or draft unless `store_text` is on; the features of
an answer's evidence are numbers, and always kept. A ledger of an earlier version is upgraded in place.
"""

import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from pinnace.errors import ConfigError
from pinnace.router.ledger_feedback import CREATE_FEEDBACK, Feedback, check_rating, insert_feedback
from pinnace.router.ledger_row import LedgerRow
from pinnace.router.spending import DAY_S

log = logging.getLogger(__name__)

VERSION = 5
"""Version 1 had no table of ratings, version 2 no `key`, version 3 no joules, version 4 neither `private` nor
`system`."""
MAX_WAITING = 100_000
MAX_BATCH = 1_000
BUSY_S = 5.0
"""Seconds to wait for another process that writes."""
STOP_S = 10.0
"""Seconds that `stop` waits for a disk; what is not written by then is dropped."""
REST_S = 0.02
"""How long the writer rests after a batch: a thread that wakes for every row takes the loop's time."""


_COLUMNS = tuple(field.name for field in fields(LedgerRow))
_CREATE = f"CREATE TABLE IF NOT EXISTS requests ({', '.join(_COLUMNS)})"
_INDEX = "CREATE INDEX IF NOT EXISTS requests_created ON requests (created)"
_INDEX_ID = "CREATE INDEX IF NOT EXISTS requests_id ON requests (request_id)"
_INSERT = f"INSERT INTO requests ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
_ADDED = {"key": "''", "private": "0", "system": "NULL", "joules": "NULL", "joules_source": "''"}
"""Columns that earlier versions lack, with what stands in them there."""
_ADD = "ALTER TABLE requests ADD COLUMN {column} DEFAULT {default}"
_SPENT = """SELECT key, SUM(cost_usd), SUM(CASE WHEN created >= ? THEN cost_usd ELSE 0 END)
FROM requests WHERE key != '' GROUP BY key"""


class Ledger:
    """Appends rows to one SQLite file in WAL mode. `start` before use, `stop` writes what waits.

    `dropped` counts rows that could not be written: a full disk costs rows, never answers.
    """

    def __init__(self, path: Path, *, store_text: bool = False) -> None:
        self.path = path
        self.store_text = store_text
        self.dropped = 0
        self._waiting: queue.Queue[LedgerRow | Feedback | None] = queue.Queue(MAX_WAITING)
        self._unwritten: dict[str, str] = {}
        self._thread: threading.Thread | None = None
        self._is_stopping = threading.Event()

    def start(self) -> None:
        """Open the file and start the writer.

        :raises ConfigError: when the file cannot be opened, or is of another version.
        """
        if self._thread is not None:
            return
        database = _open(self.path)
        self._is_stopping.clear()
        self._thread = threading.Thread(target=self._write, args=(database,), name="ledger", daemon=True)
        self._thread.start()

    def rate(self, request_id: str, rating: float, comment: str | None = None) -> None:
        """Write down how good the answer to a request was, 0 to 1; never waits. The last rating counts.

        :raises ValueError: when the rating is not a number from 0 to 1.
        """
        kept = comment if self.store_text else None
        self.add(Feedback(request_id, check_rating(rating), time.time(), kept))

    def spent_by_key(self) -> dict[str, tuple[float, float]]:
        """USD that each key has spent by what is written here: in all, and since midnight UTC.

        :raises ConfigError: when there is no ledger yet: `start` makes it.
        """
        now = time.time()
        return {key: (total, today) for key, total, today in _select(self.path, _SPENT, now - now % DAY_S)}

    def add(self, row: LedgerRow | Feedback) -> None:
        """Hand a row to the writer; never waits."""
        if isinstance(row, LedgerRow):
            self._unwritten[row.request_id] = row.key
        try:
            self._waiting.put_nowait(row)
        except queue.Full:
            self._unwritten.pop(row.request_id, None)
            self.dropped += 1

    def asker_of(self, request_id: str) -> str | None:
        """The name of the key that asked for this, written down already or not; None for no such request.

        :raises ConfigError: when there is no ledger yet: `start` makes it.
        """
        key = self._unwritten.get(request_id)
        return asker_of(self.path, request_id) if key is None else key

    def stop(self) -> None:
        """Write what waits, and close the file; a disk that hangs is waited for `STOP_S` seconds."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._is_stopping.set()
        with suppress(queue.Full):
            self._waiting.put(None, timeout=STOP_S)
        thread.join(STOP_S)
        if thread.is_alive():
            log.error("ledger: the disk hangs: about %d rows not written", self._waiting.qsize())

    def _write(self, database: sqlite3.Connection) -> None:
        is_open = True
        while is_open:
            rows = [self._waiting.get()]
            while len(rows) < MAX_BATCH and not self._waiting.empty():
                rows.append(self._waiting.get_nowait())
            is_open = None not in rows
            self._settle(database, [row for row in rows if row is not None])
            for row in rows:
                if isinstance(row, LedgerRow):
                    self._unwritten.pop(row.request_id, None)
            self._is_stopping.wait(REST_S)
        database.close()

    def _settle(self, database: sqlite3.Connection, rows: Sequence[LedgerRow | Feedback]) -> None:
        """Write rows, or drop them; where another process keeps the file locked, wait for it until `stop`."""
        while not self._insert(database, rows):
            log.warning("ledger: %d rows wait, since another process has the file locked", len(rows))

    def _insert(self, database: sqlite3.Connection, rows: Sequence[LedgerRow | Feedback]) -> bool:
        """Whether that is settled: written or dropped, rather than locked out."""
        requests = [row for row in rows if isinstance(row, LedgerRow)]
        ratings = [row for row in rows if isinstance(row, Feedback)]
        try:
            with database:
                database.executemany(_INSERT, [[getattr(row, name) for name in _COLUMNS] for row in requests])
                insert_feedback(database, ratings)
        except (ValueError, OverflowError) as error:  # a value that SQLite cannot hold: that row alone goes
            if len(rows) > 1:
                for row in rows:
                    self._settle(database, [row])
            else:
                self._drop(rows, error)
        except sqlite3.Error as error:
            if not self._is_stopping.is_set() and _is_busy(error):
                return False
            self._drop(rows, error)
        return True

    def _drop(self, rows: Sequence[LedgerRow | Feedback], error: Exception) -> None:
        self.dropped += len(rows)
        log.error("ledger: %d rows not written: %s", len(rows), error)


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY


def _open(path: Path) -> sqlite3.Connection:
    """The database at `path`, made ready; only one thread at a time may use it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opened:
            database = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False)
            opened.callback(database.close)
            _prepare_patiently(database, path)
            opened.pop_all()
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(f"ledger.path: {str(path)!r} cannot be opened: {error}") from error
    return database


def _prepare_patiently(database: sqlite3.Connection, path: Path) -> None:
    """SQLite does not wait by itself where two processes put a new file into WAL mode at once."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            return _prepare(database, path)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            database.rollback()
            time.sleep(0.01)


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if not 0 <= version <= VERSION:
        raise ConfigError(f"ledger.path: {str(path)!r} is of version {version}, expected {VERSION}")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    database.execute("BEGIN IMMEDIATE")  # two processes upgrade one after the other, and wholly or not at all
    for statement in (_CREATE, _INDEX, _INDEX_ID, CREATE_FEEDBACK):  # whatever an earlier version lacks
        database.execute(statement)
    there = {column[1] for column in database.execute("PRAGMA table_info(requests)")}
    for column in _ADDED.keys() - there:
        database.execute(_ADD.format(column=column, default=_ADDED[column]))
    database.execute(f"PRAGMA user_version={VERSION}")
    database.commit()


def read_ledger(path: Path) -> list[LedgerRow]:
    """All rows, oldest first.

    :raises ConfigError: when there is no ledger at `path`.
    """
    there = {name for (name,) in _select(path, "SELECT name FROM pragma_table_info('requests')")}
    columns = [_ADDED.get(name, name) if name not in there else name for name in _COLUMNS]
    found = _select(path, f"SELECT {', '.join(columns)} FROM requests ORDER BY created")  # noqa: S608
    rows = [LedgerRow(*row) for row in found]
    return [replace(row, escalated=bool(row.escalated), private=bool(row.private)) for row in rows]


def has_request(path: Path, request_id: str) -> bool:
    """Whether a request of this id was served.

    :raises ConfigError: when there is no ledger at `path`.
    """
    return bool(_select(path, "SELECT 1 FROM requests WHERE request_id = ? LIMIT 1", request_id))


def asker_of(path: Path, request_id: str) -> str | None:
    """The name of the key that asked for this; None where no such request was served.

    :raises ConfigError: when there is no ledger at `path`, or one that was never opened by this version.
    """
    found = _select(path, "SELECT key FROM requests WHERE request_id = ? LIMIT 1", request_id)
    return str(found[0][0] or "") if found else None


def _select(path: Path, statement: str, *values: str | float) -> list[Any]:
    if not path.exists():
        raise ConfigError(f"no ledger at {str(path)!r}")
    try:
        with closing(sqlite3.connect(path)) as database:
            return database.execute(statement, values).fetchall()
    except sqlite3.Error as error:
        raise ConfigError(f"{str(path)!r} is not a ledger: {error}") from error
