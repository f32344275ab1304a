"""What a published protocol comes to, whichever it is, and what all of them do with a table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pinnace.eval.bootstrap import Interval, interval
from pinnace.eval.pool import Pool
from pinnace.eval.recorded_rows import Recorded, record, usable_rows
from pinnace.eval.replay import Replay
from pinnace.eval.share_curves import Pair
from pinnace.eval.table import FloatArray, OutcomeTable

Embed = Callable[[Sequence[str]], FloatArray]


@dataclass(frozen=True, slots=True, eq=False)
class ProtocolRun:
    """Per method each figure with `value`, `low` and `high`.

    `pairs` are the data sets of a protocol that is about a weak and a strong model; `replay` is what the
    figures were read off, where that is what the protocol is. `labels` are of methods that only this
    protocol has, or has otherwise.
    """

    methods: Mapping[str, Mapping[str, Any]]
    pairs: tuple[Pair, ...] = ()
    replay: Replay | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


def recorded_rows(
    table: OutcomeTable, pool: Pool, embed: Embed, tasks: Sequence[str], *, keep_repeats: bool = False
) -> Recorded:
    """The rows of `tasks`, or of all, that every model of the pool ran on."""
    rows, dropped = usable_rows(table, pool, tasks, keep_repeats=keep_repeats)
    return record(table, pool, rows, dropped, embed([table.prompts[int(row)] for row in rows]))


def valued(values: FloatArray) -> dict[str, float]:
    """A figure and its interval from (draws + 1,): on the rows as they are first, then in each draw."""
    return plain_interval(interval(float(values[0]), values[1:]))


def plain_interval(found: Interval) -> dict[str, float]:
    """The interval under `value`, `low` and `high`."""
    return {"value": found.value, "low": found.low, "high": found.high}
