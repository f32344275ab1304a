"""Who is asked in a live run: a fleet member, or `auto`, the route through the whole fleet.

`NAME@K` asks a model with K solved examples of the suite's training split. Knows nothing of scores.
"""

import re
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from math import nan
from typing import Protocol

from pinnace.errors import BackendError, ConfigError
from pinnace.eval.asking import MOST_SHOTS
from pinnace.eval.reply import Reply, agreement_in, text_of
from pinnace.models.backend import Backend
from pinnace.models.completion import Delta, FinishReason, Request
from pinnace.router.answer import Answered
from pinnace.router.dispatch import AUTO, Dispatcher

_NAMED = re.compile(r"([^@]+)(?:@([0-9]{1,3}))?")


@dataclass(frozen=True, slots=True)
class Entrant:
    """A column of the table: `name` as it was asked for, the model, and how many solved examples it gets
    (None: as many as the suite says)."""

    name: str
    model: str
    shots: int | None = None


def entrants(text: str) -> tuple[Entrant, ...]:
    """Read `a,b@5,auto`.

    :raises ConfigError: when a name comes twice, is empty, or asks for too many examples.
    """
    found: list[Entrant] = []
    for name in (part.strip() for part in text.split(",")):
        match = _NAMED.fullmatch(name)
        if match is None or int(match[2] or 0) > MOST_SHOTS:
            raise ConfigError(
                f"--models: expected names such as 'a,b@5,auto' (at most @{MOST_SHOTS}), got {name!r}"
            )
        found.append(Entrant(name, match[1], None if match[2] is None else int(match[2])))
    if len({each.name for each in found}) < len(found):
        raise ConfigError(f"--models: expected every name once, got {text!r}")
    return tuple(found)


class Asker(Protocol):
    """Answers one request at a time, as often as it is called at once.

    `entrant` names its column, `votes` is how many samples an answer is drawn from that is held to a form.
    """

    entrant: Entrant
    votes: int

    async def ask(self, request: Request) -> Reply:
        """The whole answer.

        :raises BackendError: when there is none.
        :raises RequestError: when the request itself is refused.
        """
        ...


class MemberAsker:
    """Asks one backend, which has been started."""

    def __init__(self, backend: Backend, entrant: Entrant | None = None) -> None:
        self.entrant = entrant or Entrant(backend.card.name, backend.card.name)
        self.votes = backend.card.votes
        self._backend = backend

    async def ask(self, request: Request) -> Reply:
        """As `Asker`."""
        async with aclosing(self._backend.stream(request)) as stream:
            deltas = [delta async for delta in stream]
        usage = next((delta.usage for delta in reversed(deltas) if delta.usage), None)
        card = self._backend.card
        text, valid = text_of(deltas, request)
        return Reply(
            text=text,
            tokens=tuple(token for delta in deltas for token in delta.logprobs),
            finish=_finish(deltas, card.name),
            usage=usage,
            cost=card.cost(usage) if usage else nan,
            valid=valid,
            agreement=agreement_in(deltas),
        )


class RouteAsker:
    """Asks by the route that a started dispatcher chooses; all that its rungs spend is its cost."""

    def __init__(self, dispatcher: Dispatcher, entrant: Entrant | None = None) -> None:
        self.entrant = entrant or Entrant(AUTO, AUTO)
        self.votes = max((card.votes for card in dispatcher.fleet.cards()), default=1)
        self._dispatcher = dispatcher

    async def ask(self, request: Request) -> Reply:
        """As `Asker`."""
        route = await self._dispatcher.route(request)
        deltas: list[Delta] = []
        account: Answered | None = None
        async with aclosing(self._dispatcher.run(request, route)) as events:
            async for event in events:
                if isinstance(event, Delta):
                    deltas.append(event)
                elif isinstance(event, Answered):
                    account = event
        assert account is not None, "a route that raises nothing ends with its account"
        text, valid = text_of(deltas, request)
        return Reply(
            text=text,
            tokens=tuple(token for delta in deltas for token in delta.logprobs),
            finish=_finish(deltas, account.model),
            usage=account.usage,
            cost=account.cost_usd,
            valid=valid,
            agreement=agreement_in(deltas),
            answered_by=account.model,
            escalated=account.escalated,
            confidence=account.confidence,
        )


def _finish(deltas: Sequence[Delta], name: str) -> FinishReason:
    reasons: list[FinishReason] = [delta.finish_reason for delta in deltas if delta.finish_reason is not None]
    if not reasons:
        raise BackendError(f"{name}: the answer ended without a finish reason")
    return reasons[-1]
