"""Strategies: how many answers to draw for one step, and which to take. Functions that anyone can write.

A strategy is given an `Asking`, draws from it what it needs, and returns the `Choice` that it stands for. It
does not decide whether that is good enough: the session does, by the step's bar, and climbs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from pinnace.agents.reply import Account, Sample
from pinnace.errors import AgentError
from pinnace.models.completion import Message

T = TypeVar("T")


@dataclass(frozen=True)  # slots would break Name[type](...) on Python 3.11
class Drawn(Generic[T]):
    """One answer that was drawn: its sample, and its value, or `fault`, why it is none of the step's type.

    `asked` are the turns that it answers. `error` is what ended its conversation, where it came to no answer.
    """

    sample: Sample
    account: Account
    value: T | None = None
    fault: str | None = None
    asked: tuple[Message, ...] = ()
    error: AgentError | None = None

    @property
    def is_valid(self) -> bool:
        """Whether it is of the step's type."""
        return self.fault is None


@dataclass(frozen=True)  # slots would break Name[type](...) on Python 3.11
class Choice(Generic[T]):
    """What a strategy stands for. `confidence` is the probability that it is right, None where nobody knows.

    `is_gated` says that the confidence is the route's own, which the gate's bars have judged already.
    """

    drawn: Drawn[T]
    confidence: float | None
    why: str
    is_gated: bool = False


class Asking(Protocol[T]):
    """One try of one step at one rung, from which a strategy draws."""

    async def draw(
        self,
        n: int = 1,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_logprobs: int | None = None,
        is_judged: bool = True,
    ) -> Sequence[Drawn[T]]:
        """`n` answers, as one request where the step has no tools, so that they share the prompt's work.

        Where the strategy knows better how sure it is than the route does, it is not `is_judged`: a step's
        own bar then holds for the strategy's confidence alone.
        """
        ...

    async def go_on(
        self, beginnings: Sequence[Drawn[T]], *, temperature: float | None = None
    ) -> Sequence[Drawn[T]]:
        """These answers, each gone on with from where it was cut off, in their order; whole ones as they are.

        The model that began an answer goes on with it.
        """
        ...


class Strategy(Protocol):
    """From an `Asking` to the answer that it stands for."""

    async def __call__(self, asking: Asking[T], /) -> Choice[T]: ...


async def single(asking: Asking[T], /) -> Choice[T]:
    """One answer, with the confidence of the route."""
    (drawn,) = await asking.draw()
    return Choice(drawn, drawn.account.confidence, drawn.account.why, is_gated=True)
