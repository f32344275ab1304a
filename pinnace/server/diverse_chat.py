"""A chat that asks for several different answers: drawn round by round, and answered whole.

Each round is a request of its own to one model, with a row in the ledger. Knows the wire of the `pinnace`
object that tells of it; `pinnace.router.diverse` decides what is different.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from starlette.types import Receive

from pinnace.models.completion import Delta, Request, total_tokens
from pinnace.models.energy.joules import sum_of
from pinnace.models.tool_calls import gather_calls
from pinnace.router.answer import Answered
from pinnace.router.dispatch import AUTO, Dispatcher
from pinnace.router.diverse import Distinct, Sample, Wish, diverse, small_first
from pinnace.server.asking import Asked, Asker
from pinnace.server.completion import Choice, path_of, to_json, usage_of
from pinnace.server.exchange import Exchange
from pinnace.server.headers import headers_of_diverse


class _Choices:
    """The choices of one round."""

    def __init__(self, count: int) -> None:
        self.choices = [Choice() for _ in range(count)]

    def add(self, delta: Delta) -> None:
        """Take the next piece of whichever choice it belongs to."""
        self.choices[delta.index].add(delta)

    def body(self, answered: Answered) -> bytes:
        """A round is no answer by itself."""
        raise AssertionError("a round of a diverse chat is never sent")


class DiverseChat:
    """Asks for different answers to one request.

    :param weight: tokens that all samples together may take.
    """

    def __init__(
        self, asker: Asker, dispatcher: Dispatcher, request: Request, model: str, weight: int
    ) -> None:
        self._asker = asker
        self._dispatcher = dispatcher
        self._top = request.top_logprobs
        self._asked = Asked(request, model, weight, partial(_Choices, 0))
        self._accounts: list[Answered] = []

    async def answer(self, exchange: Exchange, receive: Receive, wish: Wish, created: int) -> None:
        """Wait for a place, ask, and send what is different."""
        self._asked = asked = self._asker.claimed(exchange, self._asked)
        request = asked.request
        queue = self._dispatcher.router.embeddings
        async with self._asker.place(exchange, receive, asked.weight):
            embed = queue.embed_many if queue else None  # routers without an embedder compare words alone
            found = await diverse(wish, request, self._models(), self._ask, embed)
        models = list(dict.fromkeys(sample.model for sample in found.kept))
        exchange.model = models[0] if models else exchange.model
        account = self._account(found, models)
        await exchange.answer(200, headers_of_diverse(account), self._body(found, created, account))

    def _models(self) -> tuple[str, ...]:
        """Whom to ask, the cheapest first; the router says why where nobody can be asked."""
        if self._asked.model != AUTO:
            return (self._asked.model,)
        request = self._asked.request
        cards = [
            c for c in self._dispatcher.fleet.cards() if request.allowed is None or c.name in request.allowed
        ]
        return small_first(cards, request) or (AUTO,)

    async def _ask(self, model: str, count: int, number: int) -> Sequence[Sample]:
        request = self._asked.request
        seed = None if request.seed is None else request.seed + number
        part = replace(request, n=count, id=f"{request.id}-{number}", seed=seed)
        answer = _Choices(count)
        committed, account = await self._asker.gathered(
            replace(self._asked, request=part, model=model), answer
        )
        self._accounts.append(account)
        return [_sample(committed.model, choice, self._top) for choice in answer.choices]

    def _account(self, found: Distinct, models: Sequence[str]) -> dict[str, Any]:
        """The `pinnace` object of it all."""
        attempts = [attempt for account in self._accounts for attempt in account.attempts]
        joules, source = sum_of((each.model, each.joules, each.joules_source) for each in attempts)
        energy = {} if joules is None else {"joules": joules, "joules_source": source}
        asked = list(dict.fromkeys(attempt.model for attempt in attempts))
        counts: dict[str, Any] = {
            "wished": found.wish.n,
            "distinct": len(found.kept),
            "samples": found.drawn,
            "valid": found.valid,
            "repeated": found.repeated,
            "alike": found.alike,
            "similarity": found.wish.similarity if found.compares_meaning else None,
            "models": [sample.model for sample in found.kept],
            "distinct_per_joule": len(found.kept) / joules if joules else None,
        }
        return {
            "model": ",".join(models),
            "route": path_of(asked),
            "confidence": round(min((each.confidence for each in self._accounts), default=0.0), 4),
            "cost_usd": round(sum(each.cost_usd for each in self._accounts), 10),
            "escalated": len(asked) > 1,
            "why": f"diverse: {len(found.kept)} different of {found.wish.n} wished, {found.drawn} drawn",
            **energy,
            "diverse": counts,
        }

    def _body(self, found: Distinct, created: int, account: dict[str, Any]) -> bytes:
        choices = [{**sample.wire, "index": index} for index, sample in enumerate(found.kept)]
        usage = total_tokens(each.usage for each in self._accounts)
        head = {"id": self._asked.request.id, "object": "chat.completion", "created": created}
        rest = {"choices": choices, "usage": usage_of(usage), "pinnace": account}
        return to_json({**head, "model": account["model"], **rest}).encode()


def _sample(model: str, choice: Choice, top_logprobs: int | None) -> Sample:
    wire = choice.to_wire(0, top_logprobs)
    message: dict[str, Any] = wire["message"]
    return Sample(model, message["content"] or "", gather_calls(message.get("tool_calls", ())), wire)
