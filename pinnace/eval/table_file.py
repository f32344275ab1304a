"""Outcome tables on disk: parquet, JSON lines (plain or gzipped) and CSV.

Knows the file formats and nothing of what the columns mean; `pinnace.eval.table` validates them.
"""

import csv
import gzip
import io
import json
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pyarrow  # pyright: ignore[reportMissingTypeStubs]
import pyarrow.parquet  # pyright: ignore[reportMissingTypeStubs]

from pinnace.errors import TableError
from pinnace.eval.table import Columns, OutcomeTable, complaint, is_known_column, table_of

_arrow: Any = pyarrow
_parquet: Any = pyarrow.parquet


def read_table(path: Path) -> OutcomeTable:
    """Read an outcome table; the end of the name (.parquet, .jsonl, .jsonl.gz, .csv) says the format.

    :raises TableError: when the file cannot be read, or a row or column of it is wrong.
    """
    read, _ = _format_of(path)
    try:
        columns = read(path)
    except FileNotFoundError:
        raise TableError(f"{path}: no such file") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error, _arrow.ArrowException) as error:
        raise TableError(f"{path}: not readable as {path.suffix}: {error}") from error
    return table_of(columns, str(path))


def write_table(table: OutcomeTable, path: Path) -> None:
    """Write an outcome table beside `path`, then rename it into place: no half-written file is left.

    :raises TableError: when the end of the name is none that `read_table` knows.
    """
    _, write = _format_of(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(table.columns(), beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def check_name(path: Path) -> None:
    """Check that `path` ends as a table's file must, before work is put into one.

    :raises TableError: when it does not.
    """
    _format_of(path)


def _format_of(path: Path) -> tuple[Callable[[Path], Columns], Callable[[Columns, Path], None]]:
    for ending, functions in _FORMATS.items():
        if path.name.endswith(ending):
            return functions
    raise TableError(f"{path}: expected a name that ends in {', '.join(_FORMATS)}, got {path.name!r}")


def _read_parquet(path: Path) -> Columns:
    table = _parquet.read_table(path)
    return {name: table[name].to_pylist() for name in table.column_names if is_known_column(name)}


def _write_parquet(columns: Columns, path: Path) -> None:
    arrays = {name: _arrow.array(values, type=_arrow_type(name)) for name, values in columns.items()}
    _parquet.write_table(_arrow.table(arrays), path, compression="zstd")


def _arrow_type(name: str) -> Any:
    return _arrow.float64() if name.startswith(("score:", "cost:")) else _arrow.string()


def _read_lines(path: Path) -> Columns:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rows = [
        _parse_line(line, number, str(path))
        for number, line in enumerate(content.decode("utf-8").split("\n"))
        if line.strip()
    ]
    names = dict.fromkeys(name for row in rows for name in row if is_known_column(name))
    return {name: [row.get(name) for row in rows] for name in names}


def _parse_line(line: str, number: int, source: str) -> Mapping[str, Any]:
    try:
        parsed: Any = json.loads(line)
    except ValueError:
        parsed = line
    if not isinstance(parsed, dict):
        raise complaint(source, number, "line", "a JSON object", line)
    return cast(Mapping[str, Any], parsed)


def _write_lines(columns: Columns, path: Path) -> None:
    path.write_bytes(_lines(columns))


def _write_gzip(columns: Columns, path: Path) -> None:
    path.write_bytes(gzip.compress(_lines(columns), mtime=0))


def _lines(columns: Columns) -> bytes:
    rows = zip(*columns.values(), strict=True)
    return "".join(
        json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False) + "\n" for row in rows
    ).encode()


def _read_csv(path: Path) -> Columns:
    text = path.read_bytes().decode("utf-8-sig")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header, *rows = [row for row in reader if row] or [[]]
    for number, row in enumerate(rows):
        if len(row) != len(header):
            raise complaint(str(path), number, "row", f"{len(header)} cells", len(row))
    return {
        name: [_cell(name, row[column]) for row in rows]
        for column, name in enumerate(header)
        if is_known_column(name)
    }


def _cell(name: str, text: str) -> str | float | None:
    """A CSV cell has no type: those of numbers are read as numbers, empty ones as nothing."""
    if name in ("id", "task", "split", "prompt"):
        return text
    if not text:
        return None
    if not name.startswith(("score:", "cost:")):
        return text
    try:
        return float(text)
    except ValueError:
        return text


def _write_csv(columns: Columns, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


_FORMATS: Mapping[str, tuple[Callable[[Path], Columns], Callable[[Columns, Path], None]]] = {
    ".parquet": (_read_parquet, _write_parquet),
    ".jsonl": (_read_lines, _write_lines),
    ".jsonl.gz": (_read_lines, _write_gzip),
    ".csv": (_read_csv, _write_csv),
}
