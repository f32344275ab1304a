"""Rows of sheets that others published: CSV and parquet, each row as its named cells.

Reads cells and says where they stand; knows nothing of what the columns mean.
"""

import csv
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow  # pyright: ignore[reportMissingTypeStubs]
import pyarrow.parquet  # pyright: ignore[reportMissingTypeStubs]

from pinnace.errors import TableError
from pinnace.eval.task_rows import Row

_arrow: Any = pyarrow
_parquet: Any = pyarrow.parquet

Wanted = Callable[[str], bool]
PARQUET_BATCH = 4096
LONGEST_CELL = 2**31 - 1


def sheet_columns(path: Path) -> tuple[str, ...]:
    """The names of a sheet's columns, in order.

    :raises TableError: when the file cannot be read as what its name ends in, or names a column twice.
    """
    with _reading(path):
        names = _parquet_columns(path) if path.suffix == ".parquet" else _csv_columns(path)
    twice = [name for name in dict.fromkeys(names) if name and names.count(name) > 1]
    if twice:
        raise TableError(f"{path}: columns: expected different names, got {twice[0]!r} twice")
    return names


def sheet_rows(path: Path, wanted: Wanted = lambda _: True) -> Iterator[Row]:
    """The rows of a sheet with those columns whose name is `wanted`; cells of a CSV are text.

    :raises TableError: when the file cannot be read as what its name ends in, or a row is ragged.
    """
    columns = sheet_columns(path)
    with _reading(path):
        yield from (_parquet_rows if path.suffix == ".parquet" else _csv_rows)(path, columns, wanted)


def _csv_columns(path: Path) -> tuple[str, ...]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return tuple(next(csv.reader(file, strict=True), ()))


def _csv_rows(path: Path, columns: tuple[str, ...], wanted: Wanted) -> Iterator[Row]:
    kept = [(at, name) for at, name in enumerate(columns) if wanted(name)]
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        next(reader, None)
        for number, cells in enumerate((cells for cells in reader if cells), start=1):
            where = f"{path}: row {number}"
            if len(cells) != len(columns):
                raise TableError(f"{where}: expected {len(columns)} cells, got {len(cells)}")
            yield Row(where, {name: cells[at] for at, name in kept})


def _parquet_columns(path: Path) -> tuple[str, ...]:
    return tuple(_parquet.read_schema(path).names)


def _parquet_rows(path: Path, columns: tuple[str, ...], wanted: Wanted) -> Iterator[Row]:
    number = 0
    with _parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(PARQUET_BATCH, columns=[name for name in columns if wanted(name)]):
            for fields in batch.to_pylist():
                number += 1
                yield Row(f"{path}: row {number}", fields)


@contextmanager
def _reading(path: Path) -> Generator[None]:
    """While a sheet is read: cells of any length are let through, and errors name the file."""
    longest = csv.field_size_limit(LONGEST_CELL)
    try:
        yield
    except FileNotFoundError:
        raise TableError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error, _arrow.ArrowException) as error:
        raise TableError(f"{path}: not readable as {path.suffix}: {error}") from error
    finally:
        csv.field_size_limit(longest)
