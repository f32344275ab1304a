"""Embeddings that are made once: kept by the hash of the text and the embedder's name, in SQLite.

Knows nothing of what the vectors are for. A cache that cannot be read or written costs time, never a result.
"""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import numpy as np

from pinnace.router.types import Embedder, FloatArray

log = logging.getLogger(__name__)

DEFAULT = Path(".pinnace/embeddings.sqlite")
BLOCK = 256
"""Texts that are embedded, and written down, at a time."""
_CREATE = "CREATE TABLE IF NOT EXISTS vectors (hash BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID"


def embed_cached(
    embedder: Embedder,
    texts: Sequence[str],
    path: Path = DEFAULT,
    on_done: Callable[[int, int], None] = lambda done, total: None,
) -> FloatArray:
    """Vectors of shape (n, dim) of `texts`, rounded to float32, from the cache where it has them.

    :param on_done: told how many of the texts that had to be embedded are done, and how many there are.
    """
    keys = [_key(embedder.name, text) for text in texts]
    known = _read(path, keys)
    texts_by_key = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    missing = list(texts_by_key)
    for start in range(0, len(missing), BLOCK):
        block = missing[start : start + BLOCK]
        vectors = embedder.embed([texts_by_key[key] for key in block]).astype(np.float32)
        known.update(zip(block, vectors, strict=True))
        _write(path, [(key, vector.tobytes()) for key, vector in zip(block, vectors, strict=True)])
        on_done(min(start + BLOCK, len(missing)), len(missing))
    return np.array([known[key] for key in keys], dtype=np.float64)


def _key(name: str, text: str) -> bytes:
    return sha256(f"{name}\0{text}".encode("utf-8", "surrogatepass")).digest()


def _read(path: Path, keys: Sequence[bytes]) -> dict[bytes, np.ndarray[tuple[int], np.dtype[np.float32]]]:
    if not path.exists():
        return {}
    try:
        with closing(sqlite3.connect(path)) as database:
            found = [
                database.execute("SELECT vector FROM vectors WHERE hash = ?", (key,)).fetchone()
                for key in keys
            ]
    except sqlite3.Error as error:
        log.warning("embedding cache %s: not readable: %s", path, error)
        return {}
    pairs = zip(keys, found, strict=True)
    return {key: np.frombuffer(row[0], dtype=np.float32) for key, row in pairs if row is not None}


def _write(path: Path, rows: Sequence[tuple[bytes, bytes]]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(_CREATE)
            database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
    except (OSError, sqlite3.Error) as error:
        log.warning("embedding cache %s: not written: %s", path, error)
