"""A draft: one backend's answer while it is being written, held back until it is judged."""

import asyncio
from collections import deque

from pinnace.errors import BackendError
from pinnace.models.backend import Backend
from pinnace.models.completion import Delta, FinishReason, Request, TokenLogprob, Usage
from pinnace.router.evidence import Evidence, evidence_of


class Draft:
    """Reads a backend's stream into memory up to a point; iterate over it for what was held and the rest.

    `usage` is what the draft has spent so far, also after it was aborted; `confidence` is set by who
    judges it, and `attempt` by who charges for it. Close it (`aclose`) to abort what still runs.
    """

    def __init__(self, backend: Backend, request: Request) -> None:
        self.backend = backend
        self.usage = Usage()
        self.confidence: float | None = None
        self.attempt: int | None = None
        self._stream = backend.stream(request)
        self._first: asyncio.Task[Delta] | None = None
        self._choices = request.n
        self._window: int | None = None
        self._held: deque[Delta] = deque()
        self._tokens: dict[int, list[TokenLogprob]] = {}
        self._pieces: dict[int, int] = {}
        self._finished: dict[int, FinishReason] = {}

    @property
    def is_whole(self) -> bool:
        """Whether every choice has finished."""
        return len(self._finished) == self._choices

    def cost(self) -> float:
        """USD spent so far."""
        return self.backend.card.cost(self.usage)

    def start(self) -> None:
        """Have the backend begin now, rather than when the first delta is read."""
        self._first = asyncio.create_task(self._next())

    async def hold(self, tokens: int | None) -> None:
        """Read until every choice has `tokens` tokens or has finished; None reads to the end.

        :raises BackendError: when the backend fails, or ends before every choice has finished.
        """
        self._window = tokens
        while not self._is_enough():
            try:
                self._held.append(await self._read())
            except StopAsyncIteration:
                return

    def __aiter__(self) -> "Draft":
        return self

    async def __anext__(self) -> Delta:
        return self._held.popleft() if self._held else await self._read()

    def evidence(self) -> tuple[Evidence, ...]:
        """The evidence of each choice: of all of it, or of the held window while the draft is unfinished."""
        found = (self._evidence(index, tokens) for index, tokens in self._tokens.items())
        return tuple(evidence for evidence in found if evidence is not None)

    async def aclose(self) -> None:
        """Abort what still runs."""
        if self._first is not None:
            self._first.cancel()
            await asyncio.gather(self._first, return_exceptions=True)
        await self._stream.aclose()

    async def _next(self) -> Delta:
        return await anext(self._stream)

    async def _read(self) -> Delta:
        """The next delta of the backend, taken account of."""
        first, self._first = self._first, None
        try:
            delta = await (first or self._next())
        except StopAsyncIteration:
            if self.is_whole:
                raise
            name, finished = self.backend.card.name, len(self._finished)
            raise BackendError(
                f"{name}: broke off with {finished} of {self._choices} choices finished"
            ) from None
        self._note(delta)
        return delta

    def _note(self, delta: Delta) -> None:
        self._tokens.setdefault(delta.index, []).extend(delta.logprobs)
        if delta.text or delta.logprobs or delta.tool_calls:
            self._pieces[delta.index] = self._pieces.get(delta.index, 0) + max(1, len(delta.logprobs))
        if delta.usage is not None:
            self.usage = delta.usage
        if delta.finish_reason is not None:
            self._finished[delta.index] = delta.finish_reason

    def _is_enough(self) -> bool:
        if self._window is None or self.is_whole:
            return False  # read to the very end: the exact token count may come after the last word
        enough = {i for i, pieces in self._pieces.items() if pieces >= self._window}
        return len(enough | self._finished.keys()) == self._choices

    def _evidence(self, index: int, tokens: list[TokenLogprob]) -> Evidence | None:
        """Of a choice that went on past the window, only the window: what the prefix gate was fitted on."""
        if not self.is_whole and self._window is not None and len(tokens) > self._window:
            return evidence_of(tokens[: self._window], None)
        return evidence_of(tokens, self._finished.get(index))
