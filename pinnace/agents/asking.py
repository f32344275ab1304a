"""Drawing the answers of one step at one rung: requests made from the step, tools run between its turns.

Answers of a step without tools are drawn as one request, so that the engine reads their prompt once. With
tools each answer is a conversation of its own: the model speaks, what it calls is run, and it speaks again,
until it answers or its turns are used up. Every turn is one grammar over all tools and the answer. Knows
nothing of which answer is taken.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from pinnace.agents.answer import Escalated, Tell, Text, ToolCalled
from pinnace.agents.calling import Caller
from pinnace.agents.line import AUTO
from pinnace.agents.output import UnreadableError
from pinnace.agents.reply import Account, Call, Reply, Sample, Settled
from pinnace.agents.spanned import spanned
from pinnace.agents.step import Step
from pinnace.agents.strategy import Drawn
from pinnace.agents.trace import OpenSpan, Trace
from pinnace.errors import OutputError, StepError, ToolArgumentsError
from pinnace.models.completion import PREFIX, Delta, Message, Request, total_tokens
from pinnace.models.short_line import short_line
from pinnace.models.together import together

T = TypeVar("T")
CUT_SHORT = "it was cut off at its max_tokens"


class StepAsking(Generic[T]):
    """One try of `step` at one rung: `model` is asked, `rung` counts the tries before it.

    `calls` are the spans of what was asked, in order. `tell` hears what happens; pieces of text as well where
    it `is_live`.
    """

    def __init__(
        self,
        step: Step[T],
        messages: Sequence[Message],
        caller: Caller,
        trace: Trace,
        parent: int,
        *,
        model: str,
        rung: int,
        tell: Tell | None = None,
        is_live: bool = False,
    ) -> None:
        self.calls: list[OpenSpan] = []
        self._step = step
        self._messages = tuple(messages)
        self._caller = caller
        self._trace = trace
        self._parent = parent
        self._model = model
        self._rung = rung
        self._tell = tell
        self._hear = self._say if tell is not None and is_live else None
        self._settled: Settled | None = None

    async def draw(
        self,
        n: int = 1,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_logprobs: int | None = None,
        is_judged: bool = True,
    ) -> Sequence[Drawn[T]]:
        """`n` answers; see `pinnace.agents.strategy.Asking`."""
        step = self._step
        request = Request(
            self._messages,
            max_tokens=min(max_tokens or step.max_tokens, step.max_tokens),
            temperature=step.temperature if step.temperature is not None else temperature,
            top_logprobs=top_logprobs,
            tools=tuple(tool.to_wire() for tool in step.offered),
            tool_choice="auto" if step.offered else None,
            response_format=step.reads.response_format(),
            accept=self._bar(is_judged=is_judged),
        )
        if step.offered:
            return await together([self._converse(request) for _ in range(n)])
        reply = await self._call(replace(request, n=n))
        return [self._drawn(sample, reply.account) for sample in reply.samples]

    async def go_on(
        self, beginnings: Sequence[Drawn[T]], *, temperature: float | None = None
    ) -> Sequence[Drawn[T]]:
        """See `pinnace.agents.strategy.Asking`.

        :raises StepError: when the step has tools or a type, whose grammar holds from the first token on.
        """
        if self._step.offered or not self._step.reads.is_free:
            raise StepError(
                f"step {self._step.name!r}: only free text can be gone on with: leave its tools and its "
                "output type out, and read the text in code"
            )
        return await together([self._finish(each, temperature) for each in beginnings])

    async def _finish(self, begun: Drawn[T], temperature: float | None) -> Drawn[T]:
        sample, step = begun.sample, self._step
        room = step.max_tokens - len(sample.logprobs)
        if sample.finish_reason != "length" or room < 1 or not sample.text:
            return begun
        request = Request(
            (*self._messages, Message("assistant", sample.text, {PREFIX: True})),
            max_tokens=room,
            temperature=step.temperature if step.temperature is not None else temperature,
            top_logprobs=0,
        )
        reply = await self._call(request, begun.account.model)
        (rest,) = reply.samples
        whole = replace(rest, text=sample.text + rest.text, logprobs=(*sample.logprobs, *rest.logprobs))
        return self._drawn(whole, _summed([begun.account, reply.account]))

    def _bar(self, *, is_judged: bool) -> float | None:
        """From which confidence the route takes an answer; None where its own bars hold, or it has none."""
        if self._model != AUTO or self._step.accept is None:
            return None
        return self._step.accept if is_judged else 0.0

    def doubt(self, why: str) -> None:
        """Note why what was asked is climbed past."""
        for span in self.calls:
            span.mark_climbed(why)

    def accept(self) -> None:
        """Mark what was asked as what the step's answer came from."""
        for span in self.calls:
            span.mark_accepted()

    async def _converse(self, request: Request) -> Drawn[T]:
        """One answer, with as many tool calls before it as it makes within its turns.

        Where the model makes calls that cannot be, or nothing else, that is its answer's fault.
        """
        accounts: list[Account] = []
        while True:
            reply = await self._call(request)
            (sample,) = reply.samples
            accounts.append(reply.account)
            if not sample.calls:
                return self._drawn(sample, _summed(accounts))
            try:
                if len(accounts) == self._step.max_turns:
                    raise OutputError(
                        f"step {self._step.name!r}: no answer within max_turns={self._step.max_turns}: "
                        "the model went on calling tools"
                    )
                heard = await together([self._use(each) for each in sample.calls])
            except (OutputError, ToolArgumentsError) as error:
                fault = f"it came to no answer: {error}"
                return Drawn(sample, _summed(accounts), fault=fault, asked=self._messages, error=error)
            said = Message(
                "assistant", sample.text, {"tool_calls": [each.to_wire() for each in sample.calls]}
            )
            request = replace(request, messages=(*request.messages, said, *heard))

    async def _call(self, request: Request, model: str | None = None) -> Reply:
        """One request, and its span."""
        step, model = self._step, model or self._model
        named = "" if model == AUTO else model
        self._settled = None
        with spanned(self._trace, "call", step.name, self._parent, rung=self._rung, model=named) as span:
            reply = await self._caller.call(request, model, hear=self._hear)
            account = reply.account
            if account.escalated and self._settled is None:
                self._say_escalated(account)
            span.end(
                model=account.model,
                rung=self._rung,
                rungs=account.rungs,
                why=account.why,
                confidence=account.confidence,
                prompt_tokens=account.usage.prompt_tokens,
                completion_tokens=account.usage.completion_tokens,
                usd=account.cost_usd,
                joules=account.joules,
                samples=len(reply.samples),
            )
        self.calls.append(span)
        return reply

    async def _use(self, call: Call) -> Message:
        """What the tool says, as a turn; its failure ends the step.

        :raises ToolArgumentsError: when there is no such tool, or it does not take the arguments.
        """
        name = call.name
        budget = self._caller.budget
        with spanned(self._trace, "tool", name, self._parent) as span, budget.reserve(tool_calls=1) as held:
            tool = next((each for each in self._step.offered if each.name == name), None)
            held.settle(tool_calls=1)
            if self._tell is not None:
                self._tell(ToolCalled(name, call.arguments))
            if tool is None:
                offered = ", ".join(each.name for each in self._step.offered)
                raise ToolArgumentsError(short_line(name), f"is none of {offered}")
            said = await self._caller.within(tool.call(call.arguments))
            span.end(note=f"{len(said.encode())} bytes")
        return Message("tool", said, {"tool_call_id": call.id})

    def _say(self, said: Settled | Delta) -> None:
        if isinstance(said, Settled):
            self._settled = said
            if said.escalated:
                self._say_escalated(said)
        elif self._tell is not None and said.text:
            self._tell(Text(said.text))

    def _say_escalated(self, to: Settled | Account) -> None:
        if self._tell is not None:
            self._tell(Escalated(to.model, to.why))

    def _drawn(self, sample: Sample, account: Account) -> Drawn[T]:
        if sample.finish_reason == "length" and not self._step.reads.is_free:
            return Drawn(sample, account, fault=CUT_SHORT, asked=self._messages)
        try:
            return Drawn(sample, account, self._step.reads.read(sample.text), asked=self._messages)
        except UnreadableError as error:
            return Drawn(sample, account, fault=str(error), asked=self._messages)


def _summed(accounts: Sequence[Account]) -> Account:
    """The last account, with what all turns took."""
    last = accounts[-1]
    return replace(
        last,
        usage=total_tokens(a.usage for a in accounts),
        cost_usd=sum(a.cost_usd for a in accounts),
        joules=None if any(a.joules is None for a in accounts) else sum(a.joules or 0.0 for a in accounts),
        escalated=any(a.escalated for a in accounts),
        seconds=sum(a.seconds for a in accounts),
    )
