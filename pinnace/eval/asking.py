"""How a prompt is put to a model: the turns before it, the tools and the schema beside it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from pinnace.models.completion import Message, Request
from pinnace.models.voted import drawn_samples, may_vote

TOP_LOGPROBS = 2
MOST_SHOTS = 32
"""Solved examples that are kept ready for a suite: nobody can ask for more."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A solved example: a prompt of a training split, and its answer as a model would write it."""

    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class Asking:
    """What a model gets beside the prompt.

    `system` is the system turn. `shots` of the `pool` of solved examples come before the prompt as turns,
    and with them alone `intro`, a system turn of its own (behind `system`). The rest is as in `Request`.
    """

    system: str = ""
    intro: str = ""
    shots: int = 0
    pool: tuple[Shot, ...] = ()
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: str | None = None
    parallel_tool_calls: bool = True
    response_format: Mapping[str, Any] | None = None


PLAINLY = Asking()
"""The prompt and nothing else."""


def request_of(
    asking: Asking, prompt: str, *, name: str, max_tokens: int, seed: int, shots: int | None = None
) -> Request:
    """The request that asks `prompt`: greedy, with log-probabilities.

    :param name: the request's id.
    :param shots: how many solved examples; the suite's own number by default. One that is the prompt itself
        is passed over.
    """
    wanted = asking.shots if shots is None else shots
    solved = [shot for shot in asking.pool if shot.prompt != prompt][:wanted]
    system = "\n\n".join(part for part in (asking.system, asking.intro if solved else "") if part)
    turns = [Message("system", system)] if system else []
    for shot in solved:
        turns += [Message("user", shot.prompt), Message("assistant", shot.answer)]
    return Request(
        messages=(*turns, Message("user", prompt)),
        id=name,
        max_tokens=max_tokens,
        temperature=0.0,
        seed=seed,
        top_logprobs=TOP_LOGPROBS,
        is_read_whole=True,
        tools=asking.tools,
        tool_choice=asking.tool_choice,
        parallel_tool_calls=asking.parallel_tool_calls,
        response_format=asking.response_format,
    )


def fingerprint(request: Request, votes: int = 1) -> str:
    """A hash of everything in a request that an answer depends on.

    :param votes: of how many samples whoever is asked answers, where it votes.
    """
    turns = [(message.role, message.content) for message in request.messages]
    beside = (request.tools, request.tool_choice, request.parallel_tool_calls, request.response_format)
    drawn = (drawn_samples(votes, request),) if votes > 1 and may_vote(request) else ()
    return sha256(repr((turns, request.max_tokens, request.seed, beside, *drawn)).encode()).hexdigest()[:16]
