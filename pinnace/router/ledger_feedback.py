"""What people said of served answers: the ledger's table `feedback`, one row a rating.

Knows the table and nothing of how it is written: `pinnace.router.ledger` owns the file.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass
from pathlib import Path

from pinnace.errors import ConfigError

CREATE_FEEDBACK = "CREATE TABLE IF NOT EXISTS feedback (request_id, rating, created, comment)"
INSERT_FEEDBACK = "INSERT INTO feedback (request_id, rating, created, comment) VALUES (?, ?, ?, ?)"
_FORGET_COMMENT = """UPDATE feedback SET comment = NULL WHERE request_id = ? AND comment IS NOT NULL
AND EXISTS (SELECT 1 FROM requests WHERE request_id = ? AND private)"""
"""A comment may quote the answer, so one on a private request goes."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """One rating of the answer to one request, from 0 (useless) to 1 (right); `created` in Unix seconds.

    A `comment` may quote the answer, so it is kept only where the ledger stores text.
    """

    request_id: str
    rating: float
    created: float
    comment: str | None = None

    def values(self) -> tuple[object, ...]:
        """What `INSERT_FEEDBACK` takes."""
        return astuple(self)


def insert_feedback(database: sqlite3.Connection, ratings: Sequence[Feedback]) -> None:
    """Write ratings down, without the comments on private requests."""
    database.executemany(INSERT_FEEDBACK, [rating.values() for rating in ratings])
    database.executemany(_FORGET_COMMENT, [(rating.request_id, rating.request_id) for rating in ratings])


def check_rating(rating: float) -> float:
    """`rating` itself.

    :raises ValueError: when it is not a number from 0 to 1.
    """
    if not 0 <= rating <= 1:
        raise ValueError(f"rating: expected a number from 0 to 1, got {rating!r}")
    return rating


def read_feedback(path: Path) -> Mapping[str, tuple[Feedback, ...]]:
    """The ratings of each request that has some, oldest first; empty for a ledger older than ratings.

    :raises ConfigError: when there is no ledger at `path`.
    """
    if not path.exists():
        raise ConfigError(f"no ledger at {str(path)!r}")
    try:
        with closing(sqlite3.connect(path)) as database:
            names = {name for (name,) in database.execute("SELECT name FROM sqlite_master").fetchall()}
            if "feedback" not in names:
                return {}
            select = "SELECT request_id, rating, created, comment FROM feedback ORDER BY created, rowid"
            found = [Feedback(*row) for row in database.execute(select).fetchall()]
    except sqlite3.Error as error:
        raise ConfigError(f"{str(path)!r} is not a ledger: {error}") from error
    ratings: dict[str, list[Feedback]] = {}
    for each in found:
        ratings.setdefault(each.request_id, []).append(each)
    return {name: tuple(each) for name, each in ratings.items()}
