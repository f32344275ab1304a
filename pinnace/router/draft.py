"""A draft: one backend's answer while it is being written, held back until it is judged."""

from collections.abc import AsyncIterator

from pinnace.models.backend import Backend
from pinnace.models.completion import Delta, FinishReason, Request, TokenLogprob, Usage
from pinnace.router.evidence import Evidence, evidence_of


class Draft:
    """Reads a backend's stream into memory up to a point, then passes it on.

    `usage` is what the draft has spent so far, also after it was aborted; `confidence` is set by who
    judges it, and `attempt` by who charges for it. Close it (`aclose`) to abort what still runs.
    """

    def __init__(self, backend: Backend, request: Request) -> None:
        self.backend = backend
        self.usage = Usage()
        self.confidence: float = 0.0
        self.attempt: int | None = None
        self._stream = backend.stream(request)
        self._choices = request.n
        self._window: int | None = None
        self._held: list[Delta] = []
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

    async def hold(self, tokens: int | None) -> None:
        """Read until every choice has `tokens` tokens or has finished; None reads to the end."""
        self._window = tokens
        while not self._is_enough():
            try:
                delta = await anext(self._stream)
            except StopAsyncIteration:
                return
            self._read(delta)
            self._held.append(delta)

    async def deltas(self) -> AsyncIterator[Delta]:
        """What was held, then the rest as it comes."""
        held, self._held = self._held, []
        for delta in held:
            yield delta
        async for delta in self._stream:
            self._read(delta)
            yield delta

    def evidence(self) -> tuple[Evidence, ...]:
        """The evidence of each choice: of all of it, or of the held window while it is unfinished."""
        window = None if self.is_whole else self._window
        found = (evidence_of(tokens[:window], self._finished.get(i)) for i, tokens in self._tokens.items())
        return tuple(evidence for evidence in found if evidence is not None)

    async def aclose(self) -> None:
        """Abort what still runs."""
        await self._stream.aclose()

    def _read(self, delta: Delta) -> None:
        self._tokens.setdefault(delta.index, []).extend(delta.logprobs)
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
