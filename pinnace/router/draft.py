"""A draft: one backend's answer while it is being written, held back until it is judged."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from pinnace.errors import BackendError, DeadlineExceededError
from pinnace.models.backend import Backend
from pinnace.models.completion import Delta, FinishReason, Request, TokenLogprob, Usage
from pinnace.models.deadline import FOREVER, Watch, exceeded
from pinnace.models.tool_calls import gather_calls
from pinnace.models.tool_turns import offered_tools
from pinnace.models.voted import is_held, may_vote
from pinnace.router.agreement import agreement
from pinnace.router.answer import Times
from pinnace.router.evidence import Evidence, evidence_of
from pinnace.router.validity import is_valid


class Draft:
    """Reads a backend's stream into memory up to a point; iterate over it for what was held and the rest.

    `usage` is what the draft has spent so far, also after it was aborted; `confidence` and the `bar` that it
    had to reach are set by who judges it, and `attempt` by who charges for it. Close it (`aclose`) to abort
    what still runs.
    """

    def __init__(self, backend: Backend, request: Request) -> None:
        self.backend = backend
        self.usage = Usage()
        self.confidence: float | None = None
        self.bar: float | None = None
        self.attempt: int | None = None
        self._began = time.perf_counter()
        self._waited_s = 0.0
        self._first_s: float | None = None
        self._request = request
        self._stream = backend.stream(request)
        self._first: asyncio.Task[Delta] | None = None
        self._deadline: Watch | None = None
        self._choices = request.n
        self._texts: dict[int, list[str]] = {}
        self._calls: dict[int, list[Mapping[str, Any]]] = {}
        self._window: int | None = None
        self._held: deque[Delta] = deque()
        self._tokens: dict[int, list[TokenLogprob]] = {}
        self._pieces: dict[int, int] = {}
        self._finished: dict[int, FinishReason] = {}
        self._agreement: dict[int, float] = {}
        self._whole: list[Evidence | None] | None = None

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
        :raises DeadlineExceededError: when the request's time is over; what ran is aborted.
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
        whole = self._evidence_of_all() if self.is_whole else map(self._held_evidence, self._tokens)
        return tuple(evidence for evidence in whole if evidence is not None)

    def times(self) -> Times:
        """When it ran, up to now."""
        return Times(self._began, time.perf_counter(), self._waited_s, self._first_s)

    def text(self) -> str:
        """The text of the first choice, as far as it was read."""
        return "".join(self._texts.get(0, ()))

    def features(self) -> dict[str, dict[str, float]]:
        """The evidence of the first choice at each stage that was read: numbers, no content."""
        if 0 not in self._tokens:
            return {}
        whole = self._evidence_of_all()[list(self._tokens).index(0)] if self.is_whole else None
        prefix = self._held_evidence(0) if self._window is not None else None
        found = {"whole": whole, "prefix": prefix}
        return {stage: evidence.as_dict() for stage, evidence in found.items() if evidence is not None}

    async def aclose(self) -> None:
        """Abort what still runs."""
        if self._first is not None:
            self._first.cancel()
            await asyncio.gather(self._first, return_exceptions=True)
        self._leave_deadline()
        await self._stream.aclose()

    async def _next(self) -> Delta:
        """The backend's next delta; the time until it came is time that the backend was waited for."""
        asked = time.perf_counter()
        try:
            return await anext(self._stream)
        finally:
            self._waited_s += time.perf_counter() - asked

    async def _read(self) -> Delta:
        """The next delta of the backend, taken account of."""
        first, self._first = self._first, None
        try:
            delta = await self._in_time(first)
        except DeadlineExceededError:
            if self.is_whole:  # all is said, and only the count was waited for
                raise StopAsyncIteration from None
            raise
        except StopAsyncIteration:
            if self.is_whole:
                raise
            name, finished = self.backend.card.name, len(self._finished)
            raise BackendError(
                f"{name}: broke off with {finished} of {self._choices} choices finished"
            ) from None
        self._note(delta)
        return delta

    async def _in_time(self, first: "asyncio.Task[Delta] | None") -> Delta:
        """The next delta, or what `first` comes to, unless the request's time is over before that."""
        if self._deadline is None:
            self._deadline = Watch(FOREVER if self._request.deadline is None else self._request.deadline)
        try:
            if not self._deadline.is_over():
                return await self._deadline.wait(first or self._next())
        except TimeoutError:
            pass
        except BaseException:
            self._leave_deadline()
            raise
        self._first = first
        await self.aclose()
        raise exceeded(self.backend.card.name)

    def _leave_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.close()

    def _note(self, delta: Delta) -> None:
        self._tokens.setdefault(delta.index, []).extend(delta.logprobs)
        self._texts.setdefault(delta.index, []).append(delta.text)
        self._calls.setdefault(delta.index, []).extend(delta.tool_calls)
        if delta.text or delta.logprobs or delta.tool_calls:
            if self._first_s is None:
                self._first_s = self._waited_s
            self._pieces[delta.index] = self._pieces.get(delta.index, 0) + max(1, len(delta.logprobs))
        if delta.usage is not None:
            self.usage = delta.usage
        if delta.agreement is not None:
            self._agreement[delta.index] = delta.agreement
        if delta.finish_reason is not None:
            self._finished[delta.index] = delta.finish_reason

    def _is_enough(self) -> bool:
        if self._window is None or self.is_whole:
            return False  # read to the very end: the exact token count may come after the last word
        enough = {i for i, pieces in self._pieces.items() if pieces >= self._window}
        return len(enough | self._finished.keys()) == self._choices

    def _evidence_of_all(self) -> list[Evidence | None]:
        """The evidence of every choice of a whole draft, which is judged first and written down later."""
        if self._whole is None:
            self._whole = self._whole_evidence()
        return self._whole

    def _whole_evidence(self) -> list[Evidence | None]:
        """Of every choice: its tokens, how many say the same, and whether it keeps the format asked for."""
        texts = ["".join(self._texts.get(index, ())) for index in self._tokens]
        calls = [gather_calls(self._calls.get(index, ())) for index in self._tokens]
        said = [text or repr(made) for text, made in zip(texts, calls, strict=True)]
        return [
            evidence_of(
                self._tokens[index],
                self._finished.get(index),
                agreement=self._agreement.get(index, min(share, self._least_agreement(bool(made)))),
                valid=float(is_valid(text, made, self._request)),
            )
            for index, text, made, share in zip(self._tokens, texts, calls, agreement(said), strict=True)
        ]

    def _least_agreement(self, is_call: bool) -> float:
        """Of one answer of a model that votes elsewhere on such answers: the share of votes that is sure."""
        request, votes = self._request, self.backend.card.votes
        is_unvoted = request.n == 1 and is_held(request) and not may_vote(request)
        return 1 / votes if is_unvoted and (is_call or not offered_tools(request)) else 1.0

    def _held_evidence(self, index: int) -> Evidence | None:
        """Of a choice that went on past the window, only the window: what the prefix gate was fitted on."""
        tokens = self._tokens[index]
        if self._window is not None and len(tokens) > self._window:
            return evidence_of(tokens[: self._window], None)
        return evidence_of(tokens, self._finished.get(index))
