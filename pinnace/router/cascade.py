"""The cascade: try a rung, judge its answer, accept it or climb. The climb loop exists only here.

Knows nothing of HTTP, of how rungs were chosen, or of how confidence is calibrated: it is given a
route, the backends, and a judge. Whatever happens above it, no request is lost while any rung can
answer: where the next rung fails, the best answer in hand is returned and says why.
"""

from asyncio import CancelledError
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

from pinnace.errors import BackendError, ContextTooLongError
from pinnace.models.backend import Backend
from pinnace.models.card import ModelCard
from pinnace.models.completion import Request
from pinnace.router.answer import Answered, Attempt, Committed, Event, Verdict
from pinnace.router.draft import Draft
from pinnace.router.evidence import Evidence
from pinnace.router.route import Route, Rung

Judge = Callable[[ModelCard, tuple[Evidence, ...], bool], float]
"""From a model, the evidence of each choice, and whether the answer is whole, to P(right)."""


class Cascade:
    """Runs one route for one request; `attempts` and `committed` can be read at any time, failed or not."""

    def __init__(self, request: Request, route: Route, backends: Mapping[str, Backend], judge: Judge) -> None:
        self.request = request
        self.route = route
        self.attempts: list[Attempt] = []
        self.committed: Committed | None = None
        self._backends = backends
        self._judge = judge
        self._set_aside: list[Draft] = []

    async def run(self, hold_tokens: int | None) -> AsyncGenerator[Event, None]:
        """Yield `Committed`, then the answer's deltas, then `Answered`.

        :param hold_tokens: judge after this many tokens of each choice, or at the end where the answer
            is shorter; None judges whole answers only.
        :raises BackendError: when no rung could answer, or the answer broke off after `Committed`.
        :raises ContextTooLongError: when the request fits no rung.
        """
        failure: BackendError | ContextTooLongError | None = None
        for rung in self.route.rungs:
            draft = Draft(self._backends[rung.model], self.request)
            try:
                async with aclosing(draft):
                    await self._try(rung, draft, hold_tokens)
                    if rung.bar is None or draft.confidence >= rung.bar:
                        async for event in self._answer(draft, self._why(rung, draft, failure)):
                            yield event
                        return
                self._charge(draft, "climbed", f"confidence {draft.confidence:.2f} is below {rung.bar:.2f}")
                self._set_aside.append(draft)
            except (BackendError, ContextTooLongError) as error:
                self._charge(draft, "failed", str(error))
                if self.committed is not None:
                    raise
                failure = error
            except (CancelledError, GeneratorExit):
                self._charge(draft, "abandoned", "the client went away")
                raise
        assert failure is not None, "the last rung has no bar, so it answers or fails"
        async for event in self._fall_back(failure):
            yield event

    async def _try(self, rung: Rung, draft: Draft, hold_tokens: int | None) -> None:
        """Read as much of the draft as a judgement needs, and judge it."""
        nothing_to_decide = rung.bar is None and hold_tokens is not None
        await draft.hold(1 if nothing_to_decide else hold_tokens)
        evidence = draft.evidence()
        if evidence and (draft.is_whole or not nothing_to_decide):
            draft.confidence = self._judge(draft.backend.card, evidence, draft.is_whole)
        else:
            draft.confidence = self._estimate(rung.model)

    def _estimate(self, model: str) -> float:
        return next((e.quality for e in self.route.estimates if e.model == model), 0.5)

    async def _answer(
        self, draft: Draft, why: str, *, fell_back: bool = False
    ) -> AsyncGenerator[Event, None]:
        """Commit to `draft` and pass it on to its end."""
        others = [attempt for i, attempt in enumerate(self.attempts) if i != draft.attempt]
        name = draft.backend.card.name
        path = [attempt.model for attempt in self.attempts]
        self.committed = Committed(
            model=name,
            tried=tuple(path if draft.attempt is not None else [*path, name]),
            confidence=draft.confidence,
            escalated=not fell_back and any(attempt.verdict == "climbed" for attempt in others),
            why=why,
            spent_usd=sum(attempt.cost_usd for attempt in others) + draft.cost(),
        )
        yield self.committed
        async for delta in draft.deltas():
            yield delta
        self._charge(draft, "accepted", why)
        yield self._account(draft, self.committed)

    async def _fall_back(self, failure: BackendError | ContextTooLongError) -> AsyncGenerator[Event, None]:
        """Answer with the best draft set aside: as it stands if it is whole, run again if it was aborted."""
        if not self._set_aside:
            raise failure
        best = max(self._set_aside, key=lambda draft: draft.confidence)
        draft = best if best.is_whole else Draft(best.backend, self.request)
        draft.confidence = best.confidence
        try:
            async with aclosing(draft):
                async for event in self._answer(draft, f"not escalated: {failure}", fell_back=True):
                    yield event
        except (BackendError, CancelledError, GeneratorExit) as error:
            self._charge(draft, "abandoned", str(error) or "the client went away")
            raise

    def _why(self, rung: Rung, draft: Draft, failure: Exception | None) -> str:
        if failure is not None and rung.is_fallback:
            return f"not escalated: {failure}"
        if self.attempts:
            return f"escalated: {self.attempts[-1].model}: {self.attempts[-1].why}"
        if rung.bar is None:
            return f"{self.route.strategy}: {self.route.why}"
        return f"accepted: confidence {draft.confidence:.2f} is at least {rung.bar:.2f}"

    def _charge(self, draft: Draft, verdict: Verdict, why: str) -> None:
        """Write the draft's attempt down, or over what was written of it before."""
        attempt = Attempt(draft.backend.card.name, draft.usage, draft.cost(), verdict, why, draft.confidence)
        if draft.attempt is None:
            draft.attempt = len(self.attempts)
            self.attempts.append(attempt)
        else:
            self.attempts[draft.attempt] = attempt

    def _account(self, draft: Draft, committed: Committed) -> Answered:
        return Answered(
            model=committed.model,
            attempts=tuple(self.attempts),
            confidence=committed.confidence,
            escalated=committed.escalated,
            why=committed.why,
            usage=draft.usage,
            cost_usd=sum(attempt.cost_usd for attempt in self.attempts),
        )
