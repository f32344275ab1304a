"""The cascade: try a rung, judge its answer, accept it or climb. The climb loop exists only here.

Knows nothing of HTTP, of how rungs were chosen, or of how confidence is calibrated: it is given a
route, the backends, and a judge. Whatever happens above it, no request is lost while any rung can
answer: where the next rung fails, the best answer in hand is returned and says why.
"""

from asyncio import CancelledError
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace

from pinnace.errors import BackendError, DeadlineExceededError, RequestError
from pinnace.models.backend import Backend
from pinnace.models.card import ModelCard
from pinnace.models.completion import Request
from pinnace.models.energy.joules import joules_of
from pinnace.router.answer import Answered, Attempt, Committed, Event, Verdict
from pinnace.router.draft import Draft
from pinnace.router.evidence import Evidence
from pinnace.router.route import Route, Rung

Judge = Callable[[ModelCard, tuple[Evidence, ...], bool], float]
"""From a model, the evidence of each choice, and whether the answer is whole, to P(right)."""

GONE = "the client went away"
EVIDENCE_LOGPROBS = 2
"""Alternatives per position that the gate's margins need."""


def asked_of(request: Request, hold_tokens: int | None, *, is_judged: bool) -> Request:
    """`request` as a model gets it: with the log-probabilities that judging its answer needs."""
    top_logprobs = request.top_logprobs
    if is_judged:
        top_logprobs = max(top_logprobs or 0, EVIDENCE_LOGPROBS)
    return replace(request, top_logprobs=top_logprobs, is_read_whole=hold_tokens is None)


class Cascade:
    """Runs one route for one request; `attempts` and `committed` can be read at any time, failed or not.

    :param is_judged: whether a model's answers are judged: those are asked for with log-probabilities,
        which some remote servers refuse.
    :param head_start: a draft of the first rung that runs already.
    """

    def __init__(
        self,
        request: Request,
        route: Route,
        backends: Mapping[str, Backend],
        judge: Judge,
        is_judged: Callable[[ModelCard], bool] = lambda card: True,
        head_start: Draft | None = None,
    ) -> None:
        self.request = request
        self.route = route
        self.attempts: list[Attempt] = []
        self.committed: Committed | None = None
        self._backends = backends
        self._judge = judge
        self._is_judged = is_judged
        self._head_start = head_start
        self._doubted: list[Draft] = []
        self._failure: BackendError | RequestError | None = None

    async def run(self, hold_tokens: int | None) -> AsyncGenerator[Event, None]:
        """Yield `Committed`, then the answer's deltas, then `Answered`.

        :param hold_tokens: judge after this many tokens of each choice, or at the end where the answer
            is shorter; None judges whole answers only.
        :raises BackendError: when no rung could answer, or the answer broke off after `Committed`.
        :raises RequestError: when every rung refused the request itself, as one that is too long.
        """
        draft, committed = await self._settle(hold_tokens)
        self.committed = committed
        try:
            async with aclosing(draft):
                yield committed
                async for delta in draft:
                    yield delta
        except (BackendError, RequestError) as error:
            self._charge(draft, "failed", str(error))
            raise
        except (CancelledError, GeneratorExit):
            self._charge(draft, "abandoned", GONE)
            raise
        self._charge(draft, "accepted", committed.why)
        yield self._account(draft, committed)

    async def _settle(self, hold_tokens: int | None) -> tuple[Draft, Committed]:
        """Find the draft that answers: up the ladder, then what was doubted there, then the fallbacks."""
        for rung in self.route.rungs:
            if not rung.is_fallback and (draft := await self._try(rung, hold_tokens)):
                return draft, self._commit(draft, self._why(rung, draft), escalated=bool(self.attempts))
        assert self._failure is not None, "the last rung of a ladder has no bar, so it answers or fails"
        for doubted in sorted(self._doubted, key=lambda draft: -(draft.confidence or 0.0)):
            if draft := await self._take_back(doubted, hold_tokens):
                return draft, self._commit(draft, f"not escalated: {self._failure}", escalated=False)
        for rung in self.route.rungs:
            if rung.is_fallback and (draft := await self._try(rung, hold_tokens)):
                return draft, self._commit(draft, f"not escalated: {self._failure}", escalated=False)
        raise self._failure

    async def _try(self, rung: Rung, hold_tokens: int | None) -> Draft | None:
        """The draft of `rung`, still open, where it is good enough; else None, and the draft is charged.

        Where the request's deadline has passed on another rung, none is tried any more.
        """
        if isinstance(self._failure, DeadlineExceededError):
            return None
        draft = self._draft(self._backends[rung.model], hold_tokens)
        draft.bar = rung.bar
        try:
            draft.confidence = confidence = await self._confidence(rung, draft, hold_tokens)
        except (BackendError, RequestError) as error:
            self._note_failure(draft, error)
            return None
        except CancelledError:
            self._charge(draft, "abandoned", GONE)
            raise
        except Exception as error:  # our bug, in judging: the engine must not go on for nobody
            await draft.aclose()
            self._charge(draft, "failed", f"could not be judged ({type(error).__name__})")
            raise
        if rung.bar is None or confidence >= rung.bar:
            return draft
        self._charge(draft, "climbed", f"confidence {confidence:.2f} is below {rung.bar:.2f}")
        await draft.aclose()
        self._doubted.append(draft)
        return None

    def _draft(self, backend: Backend, hold_tokens: int | None) -> Draft:
        """The draft that runs already, else a new one."""
        draft, self._head_start = self._head_start, None
        if draft is not None and draft.backend is backend:
            return draft
        return Draft(backend, asked_of(self.request, hold_tokens, is_judged=self._is_judged(backend.card)))

    async def _confidence(self, rung: Rung, draft: Draft, hold_tokens: int | None) -> float:
        """Read as much of the draft as a judgement needs, and judge it."""
        nothing_to_decide = rung.bar is None and hold_tokens is not None
        await draft.hold(1 if nothing_to_decide else hold_tokens)
        if (draft.is_whole or not nothing_to_decide) and (evidence := draft.evidence()):
            return self._judge(draft.backend.card, evidence, draft.is_whole)
        return next((e.quality for e in self.route.estimates if e.model == rung.model), 0.5)

    async def _take_back(self, doubted: Draft, hold_tokens: int | None) -> Draft | None:
        """An answer in hand after all: as it stands where it is whole, run again where it was aborted."""
        if doubted.is_whole:
            return doubted
        draft = await self._try(Rung(doubted.backend.card.name), hold_tokens)
        if draft is not None:
            draft.confidence = doubted.confidence
        return draft

    def _note_failure(self, draft: Draft, error: BackendError | RequestError) -> None:
        """Charge for it, and remember it; a broken backend is remembered before a refused request."""
        self._charge(draft, "failed", str(error))
        if isinstance(error, BackendError) or not isinstance(self._failure, BackendError):
            self._failure = error

    def _commit(self, draft: Draft, why: str, *, escalated: bool) -> Committed:
        assert draft.confidence is not None, "a draft is judged before it is settled upon"
        others = [attempt for i, attempt in enumerate(self.attempts) if i != draft.attempt]
        path = [attempt.model for attempt in self.attempts]
        name = draft.backend.card.name
        return Committed(
            model=name,
            tried=tuple(path if draft.attempt is not None else [*path, name]),
            confidence=draft.confidence,
            escalated=escalated,
            why=why,
            spent_usd=sum(attempt.cost_usd for attempt in others) + draft.cost(),
        )

    def _why(self, rung: Rung, draft: Draft) -> str:
        """Why the ladder ends at `rung`."""
        if self.attempts:
            last = self.attempts[-1]
            why = last.why if last.verdict == "failed" else f"{last.model}: {last.why}"
            return f"escalated: {why}"
        if rung.bar is None:
            return f"{self.route.strategy}: {self.route.why}"
        return f"accepted: confidence {draft.confidence:.2f} is at least {rung.bar:.2f}"

    def _charge(self, draft: Draft, verdict: Verdict, why: str) -> None:
        """Write the draft's attempt down, or over what was written of it before."""
        energy = joules_of(draft.backend.card, draft.usage)
        attempt = Attempt(
            model=draft.backend.card.name,
            usage=draft.usage,
            cost_usd=draft.cost(),
            verdict=verdict,
            why=why,
            confidence=draft.confidence,
            bar=draft.bar,
            is_whole=draft.is_whole,
            evidence=draft.features(),
            text=draft.text() if verdict == "climbed" else None,
            times=draft.times(),
            joules=energy.joules if energy else None,
            joules_source=energy.source if energy else "",
        )
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
