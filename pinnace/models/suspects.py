"""Suspects: requests that were running when an engine died, until they are found guilty or cleared.

Those of one death are all suspects, and each then runs alone, so that a second death has one culprit. One
that finishes is cleared. Knows requests only by a hash of what the engine is told of them.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass

from pinnace.models.completion import Request

GUILTY_ALONE = 2
"""Deaths after which a request is refused, where it ran alone at the last of them."""
GUILTY = 3
"""Deaths after which it is refused, whoever else ran."""
FORGET_S = 3600.0
CAPACITY = 4096
_NOT_THE_ENGINES = frozenset(
    {"id", "is_read_whole", "priority", "caller", "allowed", "deadline", "trace_headers"}
)
"""Fields that differ from one try to the next, or that no engine is told of."""


def fingerprint(request: Request) -> bytes:
    """16 bytes that are the same for every try of one request."""
    fields = [
        (name, getattr(request, name))
        for name in sorted(Request.__dataclass_fields__)
        if name not in _NOT_THE_ENGINES
    ]
    return hashlib.blake2b(repr(fields).encode("utf-8", "surrogatepass"), digest_size=16).digest()


@dataclass
class _Record:
    """What is known of one suspect."""

    seen: float
    deaths: int = 0
    is_guilty: bool = False


class Suspects:
    """At most `capacity` of them, the latest; each forgotten `FORGET_S` seconds after its last death."""

    def __init__(self, capacity: int = CAPACITY, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = capacity
        self._clock = clock
        self._records: OrderedDict[bytes, _Record] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def is_suspect(self, request: Request) -> bool:
        """Whether `request` ran at an engine's death and has not finished since."""
        return self._find(request) is not None

    def is_guilty(self, request: Request) -> bool:
        """Whether `request` is to be refused."""
        record = self._find(request)
        return record is not None and record.is_guilty

    def blame(self, requests: Collection[Request]) -> None:
        """An engine died while `requests`, and no others, were running on it."""
        prints = {fingerprint(request) for request in requests}
        for each in prints:
            record = self._records.setdefault(each, _Record(self._clock()))
            record.seen = self._clock()
            record.deaths += 1
            needed = GUILTY_ALONE if len(prints) == 1 else GUILTY
            record.is_guilty = record.is_guilty or record.deaths >= needed
            self._records.move_to_end(each)
        while len(self._records) > self._capacity:
            self._records.popitem(last=False)

    def clear(self, request: Request) -> None:
        """`request` has finished, and the engine lives."""
        self._records.pop(fingerprint(request), None)

    def _find(self, request: Request) -> _Record | None:
        if not self._records:
            return None  # nearly always: nothing is hashed
        each = fingerprint(request)
        record = self._records.get(each)
        if record is not None and self._clock() - record.seen > FORGET_S:
            del self._records[each]
            return None
        return record
