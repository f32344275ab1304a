"""OpenAI's chat wire as a line speaks it: a request as a body, an answer as deltas and their account. Pure.

Pinnace's own additions, the `accept` and the `choice` of a request and the `pinnace` object of an answer, are
left out where the endpoint knows nothing of them. Nothing that it sends is trusted. Knows nothing of
connections.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel, Field, FiniteFloat, ValidationError, model_validator

from pinnace.agents.reply import Account, Member, Settled
from pinnace.config import OpenAIMember
from pinnace.errors import BackendError, RequestError
from pinnace.models import openai_body
from pinnace.models.completion import Delta, Request, Usage
from pinnace.models.openai_chunk import Choice, ChoiceDelta, Chunk, ReportedUsage
from pinnace.models.short_line import short_line
from pinnace.models.tool_turns import answer_choices
from pinnace.router.accepting import check_accept
from pinnace.router.needs import CHARACTERS_PER_TOKEN, prompt_tokens

_S = TypeVar("_S", bound=BaseModel)
CHOICE_FIELD = "response_format"
"""Where the format `choice` stands, which others do not know; what they say is read all the same."""
_NO_ROUTE = "the endpoint says nothing of its route"


@dataclass(frozen=True, slots=True)
class Dialect:
    """What an endpoint calls the cap on an answer, and whether it knows what only a Pinnace does."""

    max_tokens_field: str = "max_tokens"
    has_accept: bool = True
    has_choice: bool = True

    def without(self, field: str | None) -> "Dialect":
        """How to ask an endpoint that does not know `field`; the same where there is no other way."""
        if field == "accept":
            return replace(self, has_accept=False)
        if field == CHOICE_FIELD:
            return replace(self, has_choice=False)
        if field == "max_tokens":
            return replace(self, max_tokens_field="max_completion_tokens")
        return self


def body_of(
    endpoint: OpenAIMember, request: Request, model: str, dialect: Dialect, *, is_stream: bool
) -> bytes:
    """The JSON of one POST.

    :raises RequestError: where it has a number that JSON cannot hold, or asks what no endpoint can be asked.
    """
    if request.allowed is not None:
        raise RequestError("allowed: an endpoint goes by its keys, and cannot be told whom to ask")
    named = endpoint.model_copy(update={"model": model})
    fields: dict[str, Any] = json.loads(openai_body.body_of(named, request, dialect.max_tokens_field))
    if not is_stream:
        del fields["stream"], fields["stream_options"]
    if answer_choices(request) and dialect.has_choice:
        fields[CHOICE_FIELD] = request.response_format
    if request.accept is not None and dialect.has_accept:
        check_accept(request.accept)
        fields["accept"] = request.accept
    return json.dumps(fields).encode()


def headers_of(request: Request) -> dict[str, str]:
    """What is said of a request beside its body; its deadline as the seconds that are left."""
    found = {"content-type": "application/json", **dict(request.trace_headers)}
    if request.private:
        found["x-pinnace-private"] = "true"
    if request.priority:
        found["x-pinnace-priority"] = "batch"
    if request.deadline is not None:
        found["x-pinnace-timeout-s"] = f"{max(request.deadline - time.monotonic(), 0.001):.3f}"
    return found


def settled_of(headers: Mapping[str, str]) -> Settled | None:
    """Who answers, by the headers of an answer; None where the endpoint is no Pinnace."""
    found = (_plain(headers.get(f"x-pinnace-{name}", "")) for name in ("model", "route", "why"))
    model, route, why = found
    rungs = tuple(route.split(">"))
    return Settled(model, rungs, why) if model and all(rungs) else None


def _plain(text: str) -> str:
    """A short line that a terminal may be shown."""
    return short_line("".join(each for each in text if each.isprintable()))


class Told(BaseModel):
    """The `pinnace` object of an answer."""

    model: str
    route: str
    confidence: float = Field(ge=0, le=1)
    cost_usd: FiniteFloat = Field(ge=0)
    escalated: bool
    why: str
    joules: FiniteFloat | None = Field(default=None, ge=0)


class Piece(Chunk):
    """One event of a streamed answer."""

    model: str | None = None
    pinnace: Told | None = None


class _WholeChoice(Choice):
    """A whole choice reads as a chunk that says everything, and calls its delta `message`."""

    delta: ChoiceDelta = Field(validation_alias="message")

    @model_validator(mode="after")
    def _counts_its_calls(self) -> "_WholeChoice":
        for place, call in enumerate(self.delta.tool_calls or ()):
            call.index = place
        return self


class _Whole(BaseModel):
    model: str | None = None
    choices: list[_WholeChoice]
    usage: ReportedUsage | None = None
    pinnace: Told | None = None

    def piece(self) -> Piece:
        """The same as one event; tokens that nobody counted are guessed."""
        written = sum(len(choice.delta.content or "") for choice in self.choices) // CHARACTERS_PER_TOKEN
        usage = self.usage or ReportedUsage(completion_tokens=written)
        choices = list[Choice](self.choices)
        return Piece.model_construct(
            model=self.model, choices=choices, usage=usage, pinnace=self.pinnace, error=None
        )


class _Figures(BaseModel):
    input: FiniteFloat = Field(ge=0)
    output: FiniteFloat = Field(ge=0)


class _MemberTold(BaseModel):
    price: _Figures
    energy: _Figures | None = None
    votes: int = Field(default=1, ge=1)


class _Listed(BaseModel):
    id: str
    owned_by: str | None = None
    pinnace: _MemberTold | None = None

    def is_member(self) -> bool:
        """Whether it is a model that answers; a Pinnace lists `auto` and embedding models beside those."""
        return self.pinnace is not None or self.owned_by != "pinnace"

    def member(self) -> Member:
        if self.pinnace is None:
            return Member(self.id)
        price, energy = self.pinnace.price, self.pinnace.energy
        joules = None if energy is None else (energy.input / 1000, energy.output / 1000)
        return Member(self.id, price.input, price.output, joules, self.pinnace.votes)


class _List(BaseModel):
    data: list[_Listed]


class Reading:
    """One answer as it comes, whole or piece by piece.

    :param name: what the endpoint is called in errors.
    :param model: what was asked for, until the answer names its model.
    """

    def __init__(self, name: str, request: Request, model: str) -> None:
        self._name = name
        self._n = request.n
        self._model = model
        self._told: Told | None = None
        self._usage = Usage(prompt_tokens(request))
        self._finished: set[int] = set()

    def whole(self, body: bytes) -> list[Delta]:
        """The deltas of a whole answer, one a choice.

        :raises BackendError: where it is none.
        """
        return list(self.deltas(_read(self._name, body, _Whole).piece()))

    def piece(self, event: bytes) -> Piece:
        """One event of a streamed answer.

        :raises BackendError: where it is something else.
        """
        return _read(self._name, event, Piece)

    def deltas(self, piece: Piece) -> Iterator[Delta]:
        """What a piece adds.

        :raises BackendError: where it speaks of a choice that was not asked for.
        """
        self._model = piece.model or self._model
        self._told = piece.pinnace or self._told
        self._usage = piece.count(self._usage)
        for delta in piece.deltas(self._usage):
            if not 0 <= delta.index < self._n:
                raise BackendError(f"{self._name}: expected choices 0 to {self._n - 1}, got {delta.index}")
            if delta.finish_reason is not None:
                self._finished.add(delta.index)
            yield delta

    def account(self, seconds: float) -> Account:
        """How the answer came about: of other servers than ours, hardly more than who gave it.

        :raises BackendError: where not every choice has finished.
        """
        if len(self._finished) < self._n:
            finished = len(self._finished)
            raise BackendError(f"{self._name}: broke off with {finished} of {self._n} choices finished")
        told = self._told
        if told is None:
            return Account(
                self._model, (self._model,), None, False, _NO_ROUTE, self._usage, 0.0, None, seconds
            )
        return Account(
            model=told.model,
            rungs=tuple(told.route.split(">")),
            confidence=told.confidence,
            escalated=told.escalated,
            why=told.why,
            usage=self._usage,
            cost_usd=told.cost_usd,
            joules=told.joules,
            seconds=seconds,
        )


def members_of(name: str, body: bytes) -> tuple[Member, ...]:
    """The models of a list that answer, the cheapest first, and those without a price in the order they came.

    :raises BackendError: where it is no list of models.
    """
    found = [listed.member() for listed in _read(name, body, _List).data if listed.is_member()]
    return tuple(sorted(found, key=lambda member: (member.output_price or 0.0, member.input_price or 0.0)))


def _read(name: str, body: bytes, shape: type[_S]) -> _S:
    try:
        return shape.model_validate_json(body)
    except ValidationError:
        raise BackendError(f"{name}: expected OpenAI's wire, got something else") from None
