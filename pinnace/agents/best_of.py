"""Best of n: several answers to one step, and the one that scores highest."""

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from math import inf, isnan
from typing import Any, TypeVar

from pinnace.agents.strategy import Asking, Choice, Drawn, Strategy
from pinnace.errors import StepError

T = TypeVar("T")
Score = Callable[[Drawn[Any]], float | Awaitable[float]]
"""From an answer to how good it is; higher is better."""
BEST_TEMPERATURE = 0.8


def by_logprob(drawn: Drawn[Any]) -> float:
    """How likely the model thought its answer, per token: natural log-probability, at most 0."""
    mean = drawn.sample.mean_logprob()
    return -inf if mean is None else mean


def best_of(n: int, score: Score = by_logprob, *, temperature: float = BEST_TEMPERATURE) -> Strategy:
    """The one of `n` answers that `score` puts highest, of those that are of the step's type.

    Its confidence is the route's where `score` says nothing about being right: a bar then means what it
    means for one answer.

    :param score: a function of the drawn answer, plain or async; NaN is below everything.
    :raises StepError: when `n` is less than 2.
    """
    if n < 2:
        raise StepError(f"best_of: expected n of at least 2, got {n!r}: one answer has nobody to beat")

    async def best(asking: Asking[T], /) -> Choice[T]:
        drawn = await asking.draw(n, temperature=temperature, top_logprobs=0)
        valid = [each for each in drawn if each.is_valid]
        if not valid:
            return Choice(drawn[0], 0.0, f"none of {n} answers is of the step's type")
        scored = [(await _scored(score, each), -at) for at, each in enumerate(valid)]
        highest, at = max(scored)
        chosen = valid[-at]
        return Choice(
            chosen, chosen.account.confidence, f"the best of {n}, scored {highest:.3g}", is_gated=True
        )

    return best


async def _scored(score: Score, drawn: Drawn[Any]) -> float:
    given = score(drawn)
    value = await given if isawaitable(given) else given
    return -inf if isnan(value) else value
