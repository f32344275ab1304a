"""A backend that votes: of several samples it answers what most of them say, where they can say the same.

That is where an answer is held to a form: a tool call, a schema, one of some texts. Free text is passed
through, since two texts are hardly ever the same. Where text may stand in place of a call, the answer begins
as it would without votes: text goes on, and of a call is voted which.
Self-consistency (Wang et al., ICLR 2023) as a rung of the fleet: compute at inference time in place of a
larger model. Knows no gate and no route.
"""

import json
from collections.abc import AsyncGenerator, Hashable, Sequence
from contextlib import aclosing
from dataclasses import replace

from pinnace.config import FleetMember, Votes
from pinnace.models.backend import Backend
from pinnace.models.completion import Delta, Request, Usage
from pinnace.models.tool_calls import gather_calls
from pinnace.models.tool_turns import answer_choices, answer_schema, may_call, must_call
from pinnace.models.wrapped import Wrapped


class VotedBackend(Wrapped):
    """`inner`, asked for `votes.samples` answers in place of one; its usage is that of all of them."""

    def __init__(self, inner: Backend, votes: Votes) -> None:
        super().__init__(inner)
        self._votes = votes

    def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """The answer that most samples give, in one delta once all have ended; before it what they spend.

        Requests for free text, for several answers, or at a temperature get the deltas of what is inside:
        who asks for samples gets samples.
        """
        if not may_vote(request):
            return self.inner.stream(request)
        return self._begun(request) if _may_say_anything(request) else self._elected(request)

    async def _begun(self, request: Request) -> AsyncGenerator[Delta, None]:
        """The one answer of what is inside while it may be text; once it begins a call, the elected one."""
        held: list[Delta] = []
        begun, is_text = Usage(), False
        async with aclosing(self.inner.stream(request)) as deltas:
            async for delta in deltas:
                begun = delta.usage or begun
                held.append(delta)
                if delta.tool_calls:
                    break
                if is_text := is_text or bool(delta.text) or delta.finish_reason is not None:
                    for each in held:
                        yield each
                    held.clear()
            else:
                for each in held:
                    yield each
                return
        yield Delta(usage=begun)
        async with aclosing(self._elected(request, begun)) as deltas:
            async for delta in deltas:
                yield delta

    async def _elected(self, request: Request, begun: Usage | None = None) -> AsyncGenerator[Delta, None]:
        """The elected answer. `begun` was spent on one that was left for it."""
        samples: list[list[Delta]] = [[] for _ in range(self._votes.samples)]
        async with aclosing(self.inner.stream(self._asked(request))) as deltas:
            async for delta in deltas:
                samples[delta.index].append(delta)
                if delta.usage is not None:
                    yield Delta(usage=_added(delta.usage, begun))
        whole = [_joined(sample) for sample in samples if sample]
        if ended := [each for each in whole if each.finish_reason is not None]:
            yield elected(ended, request)

    def _asked(self, request: Request) -> Request:
        """The same for all samples, which are the same ones each time, as an answer at temperature 0 is."""
        return replace(
            request,
            n=self._votes.samples,
            temperature=self._votes.temperature,
            seed=request.seed or 0,
            is_read_whole=True,
        )


def is_held(request: Request) -> bool:
    """Whether its answer is held to a form: a call, a schema, one of some texts."""
    return may_call(request) or bool(answer_choices(request)) or answer_schema(request) is not None


def may_vote(request: Request) -> bool:
    """Whether its answer is held to a form, and one is asked for, the best there is."""
    return is_held(request) and request.n == 1 and not request.temperature


def drawn_samples(votes: int, request: Request) -> int:
    """How many answers a member of so many votes draws for it, at most."""
    return votes if may_vote(request) else request.n


def _may_say_anything(request: Request) -> bool:
    """Whether free text may stand in place of a call."""
    is_formed = bool(answer_choices(request)) or answer_schema(request) is not None
    return may_call(request) and not must_call(request) and not is_formed


def _added(usage: Usage, begun: Usage | None) -> Usage:
    """What was written in all; the prompt was read when the answer began."""
    if begun is None:
        return usage
    joules = None if usage.joules is None or begun.joules is None else usage.joules + begun.joules
    written = usage.completion_tokens + begun.completion_tokens
    return Usage(usage.prompt_tokens, written, joules, begun.cached_tokens)


def elected(answers: Sequence[Delta], request: Request) -> Delta:
    """The first of the answers that most say, and the share that says it; cut ones only among themselves.

    Calls go before texts, as :class:`VotedBackend` votes only on what is to be a call.
    """
    whole = [each for each in answers if each.finish_reason != "length"] or answers
    whole = [each for each in whole if each.tool_calls] or whole
    said = [_said(each, request) for each in whole]
    winner = max(said, key=said.count)
    return replace(whole[said.index(winner)], index=0, agreement=said.count(winner) / len(answers))


def voted(member: FleetMember, backend: Backend) -> Backend:
    """`backend` as its section of `router.yaml` has it vote; itself where it does not."""
    return backend if member.votes is None else VotedBackend(backend, member.votes)


def _joined(deltas: Sequence[Delta]) -> Delta:
    """One choice in one piece; its usage is told already."""
    return Delta(
        "".join(each.text for each in deltas),
        deltas[0].index,
        tuple(token for each in deltas for token in each.logprobs),
        next((each.finish_reason for each in deltas if each.finish_reason is not None), None),
        tool_calls=[piece for each in deltas for piece in each.tool_calls],
    )


def _said(answer: Delta, request: Request) -> Hashable:
    """What it is counted as: its calls, or its text; of JSON how it is written is nothing."""
    if calls := gather_calls(answer.tool_calls):
        return tuple((call.name, _plain(call.arguments)) for call in calls)
    if answer_schema(request) is not None:
        return _plain(answer.text)
    return answer.text.strip() if answer_choices(request) else "no call"


def _plain(text: str) -> str:
    try:
        return json.dumps(json.loads(text, parse_float=_number), sort_keys=True)
    except (ValueError, RecursionError):
        return " ".join(text.split())


def _number(written: str) -> int | float:
    """5.0 is as much as 5."""
    value = float(written)
    return int(value) if value.is_integer() else value
