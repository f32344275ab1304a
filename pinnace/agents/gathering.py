"""From the deltas of one answer to its samples: text, tool calls, finish reasons and log-probabilities.

Knows nothing of who answers, or of what the samples are for.
"""

import secrets
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from pinnace.agents.line import Said
from pinnace.agents.reply import Account, Call, Reply, Sample, Settled
from pinnace.models.completion import Delta, FinishReason, TokenLogprob

Hear = Callable[[Settled | Delta], None]
"""Hears who answers, and the pieces of the answer as they come."""


class Gathering:
    """Puts the `n` choices of one answer together, whatever order their pieces come in."""

    def __init__(self, n: int) -> None:
        self._choices = [_Choice() for _ in range(n)]

    def add(self, delta: Delta) -> None:
        """Take the next piece of whichever choice it belongs to."""
        self._choices[delta.index].add(delta)

    def samples(self) -> tuple[Sample, ...]:
        """The choices as far as they have come, in order."""
        return tuple(choice.sample() for choice in self._choices)


async def reply_of(said: AsyncGenerator[Said, None], n: int, hear: Hear | None = None) -> Reply:
    """What a line streams, read to its end and put together.

    :param n: how many choices there are.
    :param hear: gets the pieces as they come.
    """
    gathering, account = Gathering(n), None
    async with aclosing(said):
        async for each in said:
            if isinstance(each, Account):
                account = each
                continue
            if isinstance(each, Delta):
                gathering.add(each)
            if hear is not None:
                hear(each)
    assert account is not None, "a line ends with its account, or with an error"
    return Reply(gathering.samples(), account)


class _Choice:
    def __init__(self) -> None:
        self._text: list[str] = []
        self._tokens: list[TokenLogprob] = []
        self._calls: dict[int, _Call] = {}
        self._finish_reason: FinishReason = "stop"

    def add(self, delta: Delta) -> None:
        self._text.append(delta.text)
        self._tokens.extend(delta.logprobs)
        for piece in delta.tool_calls:
            self._calls.setdefault(self._place(piece), _Call()).add(piece)
        if delta.finish_reason is not None:
            self._finish_reason = delta.finish_reason

    def sample(self) -> Sample:
        calls = tuple(self._calls[place].call() for place in sorted(self._calls))
        return Sample("".join(self._text), calls, self._finish_reason, tuple(self._tokens))

    def _place(self, piece: Mapping[str, Any]) -> int:
        """Which call a piece belongs to: without an index, an id begins a new one."""
        index = piece.get("index")
        if isinstance(index, int):
            return index
        return max(self._calls, default=-1) + 1 if piece.get("id") or not self._calls else max(self._calls)


class _Call:
    def __init__(self) -> None:
        self._id = ""
        self._name = ""
        self._arguments: list[str] = []

    def add(self, piece: Mapping[str, Any]) -> None:
        function: Mapping[str, Any] = piece.get("function") or {}
        self._id = piece.get("id") or self._id
        self._name = function.get("name") or self._name
        self._arguments.append(function.get("arguments") or "")

    def call(self) -> Call:
        """The call; where the server gave it no id, it gets one, since the tool's answer must name it."""
        self._id = self._id or f"call_{secrets.token_hex(12)}"
        return Call(self._id, self._name, "".join(self._arguments))
