"""A fleet for tests: says what it is told to, records what it is asked, and never pretends to be a model.

Every line of the script is for as many calls as it says, in order; a call that no line is for, or a line that
no call came for, fails the test that wrote it.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pinnace.agents.fleet import Fleet
from pinnace.agents.line import AUTO, Said
from pinnace.agents.reply import Account, Call, Member, Reply, Sample
from pinnace.errors import PinnaceError, StepError
from pinnace.models.completion import Delta, FinishReason, Request, TokenLogprob, Usage

SMALL = Member("scripted-small", 0.01, 0.02, (0.001, 0.002))
LARGE = Member("scripted-large", 2.0, 8.0, (0.1, 0.2))


@dataclass(frozen=True, slots=True)
class Say:
    """One line of a script: what is said to a call whose last turn contains `when`.

    `texts` are the samples of one call, in order, or one text for as many as are asked for; `calls` are tools
    to call in place of them, by name with their arguments. `model` says it, and only where it is asked by
    name or by `auto`. `logprob` is that of every word; `cut` says that its
    texts were cut off at `max_tokens`; `fault` is raised in place of an answer; it takes
    `seconds`. `times` calls may be answered by it, None any number.
    """

    texts: str | Sequence[str] = ""
    when: str = ""
    calls: Mapping[str, str] = field(default_factory=dict[str, str])
    model: str = SMALL.name
    confidence: float | None = 1.0
    logprob: float = -0.1
    cut: bool = False
    fault: PinnaceError | None = None
    seconds: float = 0.0
    times: int | None = 1


@dataclass(slots=True)
class _Line:
    """A line of the script, and for how many calls it still is; None for any number."""

    say: Say
    times: int | None


class ScriptedFleet(Fleet):
    """A `Fleet` that says `script`.

    `requests` are those it was sent, with the `models` that were asked for; `running` counts open calls,
    `aborted` those that were cancelled.

    :param members: the models that it says it has; `Say.model` names one of them.
    :raises StepError: when it names none of them.
    """

    def __init__(self, *script: Say, members: Sequence[Member] = (SMALL, LARGE)) -> None:
        self._left = [_Line(say, say.times) for say in script]
        self._members = tuple(members)
        names = [each.name for each in members]
        for say in script:
            if say.model not in names:
                raise StepError(f"expected a line of the script to be of {', '.join(names)}; got {say}")
        self.requests: list[Request] = []
        self.models: list[str] = []
        self.running = 0
        self.aborted = 0
        super().__init__(self)

    async def members(self) -> tuple[Member, ...]:
        """Those that it was told of."""
        return self._members

    async def complete(self, request: Request, model: str = AUTO) -> Reply:
        """What the script says."""
        say = self._take(request, model)
        self.requests.append(request)
        self.models.append(model)
        began = time.monotonic()
        self.running += 1
        try:
            await asyncio.sleep(say.seconds)
        except asyncio.CancelledError:
            self.aborted += 1
            raise
        finally:
            self.running -= 1
        if say.fault is not None:
            raise say.fault
        return self._reply(say, request, time.monotonic() - began)

    async def stream(self, request: Request, model: str = AUTO) -> AsyncGenerator[Said, None]:
        """What the script says, word by word."""
        reply = await self.complete(request, model)
        for index, sample in enumerate(reply.samples):
            for token in sample.logprobs:
                yield Delta(token.token, index, (token,))
            pieces = [{"index": at, **call.to_wire()} for at, call in enumerate(sample.calls)]
            yield Delta(index=index, finish_reason=sample.finish_reason, tool_calls=pieces)
        yield reply.account

    def assert_done(self) -> None:
        """Fail where a line of the script is left that nobody asked for."""
        left = [line.say for line in self._left if line.times]
        assert not left, f"{len(left)} lines of the script were not asked for; the first: {left[0]}"

    def _take(self, request: Request, model: str) -> Say:
        said = request.messages[-1].content
        for line in self._left:
            say = line.say
            if say.when in said and line.times != 0 and model in (AUTO, say.model):
                line.times = None if line.times is None else line.times - 1
                return say
        raise AssertionError(f"no line of the script is left for {model!r} and {said[:200]!r}")

    def _reply(self, say: Say, request: Request, seconds: float) -> Reply:
        texts = [say.texts] * request.n if isinstance(say.texts, str) else list(say.texts)
        if len(texts) != request.n:
            raise StepError(f"the script has {len(texts)} samples for a call that asks for n={request.n}")
        samples = tuple(_sample(text, say) for text in texts)
        read = sum(len(message.content.split()) for message in request.messages)
        written = sum(max(len(sample.logprobs), 1) for sample in samples)
        member = next(each for each in self._members if each.name == say.model)
        account = Account(
            model=say.model,
            rungs=(say.model,),
            confidence=say.confidence,
            escalated=False,
            why="scripted",
            usage=Usage(read, written),
            cost_usd=((member.input_price or 0) * read + (member.output_price or 0) * written) / 1e6,
            seconds=seconds,
        )
        if member.joules_per_token is not None:
            figures = member.joules_per_token
            account = replace(account, joules=figures[0] * read + figures[1] * written)
        return Reply(samples, account)


def _sample(text: str, say: Say) -> Sample:
    calls = tuple(Call(f"call-{name}", name, arguments) for name, arguments in say.calls.items())
    words = text.split(" ") if text else []
    said = [word if at == 0 else f" {word}" for at, word in enumerate(words)]
    tokens = tuple(TokenLogprob(word, say.logprob, ((word, say.logprob),)) for word in said)
    ended: FinishReason = "length" if say.cut else "stop"
    return Sample(text, calls, "tool_calls" if calls else ended, tokens)
