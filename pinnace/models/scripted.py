"""The fake that ships for tests: answers, log-probabilities, delays and faults from a script.

Speaks in words, one word a token, and counts tokens the same way. Never pretends to be a model:
its cards say `scripted`, and what it answers is what the script says.
"""

import asyncio
import math
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

from pinnace.config import ScriptedMember, ScriptedReply
from pinnace.errors import BackendUnavailableError
from pinnace.models.card import card_of
from pinnace.models.completion import Delta, FinishReason, Request, TokenLogprob, Usage


class ScriptedBackend:
    """Answers from the first line of the script whose `when` is in the prompt.

    `requests` records what it was asked, `running` counts open streams, `aborted` those that were closed
    or cancelled early (a scripted fault is neither).
    """

    def __init__(self, member: ScriptedMember) -> None:
        self.card = card_of(member, backend="scripted")
        self.script = member.script
        self.requests: list[Request] = []
        self.running = 0
        self.aborted = 0

    async def start(self) -> None:
        """Nothing to start."""

    async def drain(self) -> None:
        """Nothing to give back."""

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """Yield the scripted reply word by word; see `ScriptedReply` for what can go wrong on purpose."""
        self.requests.append(request)
        self.running += 1
        try:
            async with aclosing(self._speak(request, self._reply(request))) as deltas:
                async for delta in deltas:
                    yield delta
        except (asyncio.CancelledError, GeneratorExit):
            self.aborted += 1
            raise
        finally:
            self.running -= 1

    def _reply(self, request: Request) -> ScriptedReply:
        prompt = request.text()
        for reply in self.script:
            if reply.when in prompt:
                return reply
        raise BackendUnavailableError(f"{self.card.name}: no line of the script answers this prompt")

    async def _speak(self, request: Request, reply: ScriptedReply) -> AsyncGenerator[Delta, None]:
        if reply.fault == "refuse":
            raise BackendUnavailableError(f"{self.card.name}: scripted refusal")
        await asyncio.sleep(reply.first_token_s)
        prompt_tokens = count_words(request)
        words = re.findall(r"\S+\s*", reply.answer)
        said = words[: request.max_tokens]
        finish: FinishReason = "stop" if len(said) == len(words) else "length"
        spoken = 0
        for index in range(request.n):
            for position, word in enumerate(said):
                if position == reply.fault_after:
                    await self._break(reply)
                spoken += 1
                yield _delta(word, index, reply.probability, Usage(prompt_tokens, spoken))
                await asyncio.sleep(reply.token_s)
            if reply.fault_after >= len(said):
                await self._break(reply)
            yield Delta(index=index, finish_reason=finish, usage=Usage(prompt_tokens, spoken))

    async def _break(self, reply: ScriptedReply) -> None:
        if reply.fault == "stall":
            await asyncio.Event().wait()
        if reply.fault == "cut":
            raise BackendUnavailableError(f"{self.card.name}: scripted cut after {reply.fault_after} tokens")


def count_words(request: Request) -> int:
    """Words in all turns: what the fake calls prompt tokens."""
    return sum(len(message.content.split()) for message in request.messages)


def _delta(word: str, index: int, probability: float, usage: Usage) -> Delta:
    runner_up = max(1 - probability, 1e-9)
    chosen = math.log(probability)
    top = tuple(sorted(((word, chosen), ("…", math.log(runner_up))), key=lambda pair: -pair[1]))
    return Delta(text=word, index=index, logprobs=(TokenLogprob(word, chosen, top),), usage=usage)
