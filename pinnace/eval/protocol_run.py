"""What a published protocol comes to, whichever it is, and what all of them do with a table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pinnace.eval.bootstrap import Interval, interval
from pinnace.eval.methods import Method
from pinnace.eval.replay import Replay
from pinnace.eval.share_curves import Pair
from pinnace.eval.table import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class ProtocolRun:
    """Per method each figure with `value`, `low` and `high`.

    `pairs` are the data sets of a protocol that is about a weak and a strong model; `replay` is what the
    figures were read off, where that is what the protocol is. `shown` are the methods that only this
    protocol has, or has otherwise.
    """

    methods: Mapping[str, Mapping[str, Any]]
    pairs: tuple[Pair, ...] = ()
    replay: Replay | None = None
    shown: Mapping[str, Method] = field(default_factory=dict[str, Method])


def valued(values: FloatArray) -> dict[str, float]:
    """A figure and its interval from (draws + 1,): on the rows as they are first, then in each draw."""
    return plain_interval(interval(float(values[0]), values[1:]))


def plain_interval(found: Interval) -> dict[str, float]:
    """The interval under `value`, `low` and `high`."""
    return {"value": found.value, "low": found.low, "high": found.high}
