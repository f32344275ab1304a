"""Thinking at the beginning: many short beginnings, the better of them finished, and a vote of those.

What a beginning promises is told by a ranking that anyone can write; by default how likely the model thought
it. Compute is spent where it looks worth it (Snell et al., arXiv 2408.03314; DeepConf, arXiv 2508.15260).
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from typing import Any, TypeVar

from pinnace.agents.best_of import by_logprob
from pinnace.agents.strategy import Asking, Choice, Drawn, Strategy
from pinnace.agents.voting import VOTE_TEMPERATURE, Key, elect
from pinnace.errors import StepError

T = TypeVar("T")
Rank = Callable[[Sequence[Drawn[Any]]], Sequence[float] | Awaitable[Sequence[float]]]
"""From beginnings to how much each promises, in their order; higher is better."""


def likeliest(beginnings: Sequence[Drawn[Any]]) -> Sequence[float]:
    """Each beginning's natural log-probability per token."""
    return [by_logprob(each) for each in beginnings]


def at_random(seed: int = 0) -> Rank:
    """No ranking at all: the control that every other has to beat."""
    draw = random.Random(seed)  # noqa: S311

    def rank(beginnings: Sequence[Drawn[Any]]) -> Sequence[float]:
        return [draw.random() for _ in beginnings]

    return rank


def think_at(
    n: int,
    prefix: int,
    keep: int,
    rank: Rank = likeliest,
    *,
    key: Key | None = None,
    temperature: float = VOTE_TEMPERATURE,
) -> Strategy:
    """`n` beginnings of `prefix` tokens, the `keep` that `rank` puts highest finished, then a vote of these.

    An answer that ends within `prefix` tokens is whole, and competes as it stands. The confidence is the
    winner's share of what was kept.

    :param key: as in `vote`.
    :raises StepError: when it keeps all or none, or the prefix has no token.
    """
    if not 1 <= keep < n or prefix < 1:
        raise StepError(
            f"think_at: expected 1 <= keep < n and a prefix of at least 1 token, "
            f"got n={n!r}, prefix={prefix!r}, keep={keep!r}"
        )

    async def thought(asking: Asking[T], /) -> Choice[T]:
        beginnings = await asking.draw(
            n, max_tokens=prefix, temperature=temperature, top_logprobs=0, is_judged=False
        )
        given = rank(beginnings)
        ranks = await given if isawaitable(given) else given
        if len(ranks) != n:
            raise StepError(f"think_at: expected a rank of each of {n} beginnings, got {len(ranks)}")
        best = sorted(range(n), key=lambda at: -ranks[at])[:keep]
        finished = await asking.go_on([beginnings[at] for at in best], temperature=temperature)
        return elect(finished, [1.0] * keep, key, f"of the {keep} best beginnings of {n}")

    return thought
