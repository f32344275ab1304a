"""Votes: several answers to one step, and the value that most of them give."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

from pinnace.agents.strategy import Asking, Choice, Drawn, Strategy
from pinnace.errors import StepError
from pinnace.models.completion import TokenLogprob

T = TypeVar("T")
Key = Callable[[Any], Hashable]
"""From a value to what it is counted as."""
TOP_K = 20
WINDOW = 64
"""Tokens of a group: DeepConf's 2,048 is for reasoning of tens of thousands, these answers are short."""
VOTE_TEMPERATURE = 0.8


def vote(
    n: int, key: Key | None = None, *, weighted: bool = False, temperature: float = VOTE_TEMPERATURE
) -> Strategy:
    """The value that most of `n` answers give; the confidence is the winner's share of all that were drawn.

    Answers that are not of the step's type are no votes, and lower every share. Of values with as many
    votes the one that was drawn first wins.

    :param key: what two answers have to share to be one vote; by default their value, texts without regard
        to case and blanks.
    :param weighted: each vote counts by its answer's `group_confidence`, from the top 20 log-probabilities.
    :raises StepError: when `n` is less than 2.
    """
    if n < 2:
        raise StepError(f"vote: expected n of at least 2, got {n!r}: one answer needs no vote")

    async def voted(asking: Asking[T], /) -> Choice[T]:
        drawn = await asking.draw(
            n, temperature=temperature, top_logprobs=TOP_K if weighted else None, is_judged=False
        )
        weights = [_weight(each) if weighted else 1.0 for each in drawn]
        return elect(drawn, weights, key, f"of {n}{' weighted' if weighted else ''} votes")

    return voted


def elect(drawn: Sequence[Drawn[T]], weights: Sequence[float], key: Key | None, told: str) -> Choice[T]:
    """The first answer of the value that weighs most; its confidence is that value's share of all weights."""
    votes: dict[Hashable, float] = defaultdict(float)
    first: dict[Hashable, Drawn[T]] = {}
    for each, weight in zip(drawn, weights, strict=True):
        if each.is_valid:
            value = _key_of(each.value, key)
            votes[value] += weight
            first.setdefault(value, each)
    if not votes:
        return Choice(drawn[0], 0.0, f"none {told} is of the step's type")
    winner = max(votes, key=lambda value: votes[value])
    share = votes[winner] / sum(weights) if sum(weights) else 0.0
    return Choice(first[winner], share, f"{share:.0%} {told}")


def group_confidence(tokens: Sequence[TokenLogprob], window: int = WINDOW) -> float:
    """DeepConf's lowest group confidence of one answer (Fu et al., arXiv 2508.15260), at least 0.

    A token's confidence is minus the mean log-probability of its likeliest alternatives; a group's is the
    mean over `window` tokens that follow each other, and the lowest group counts. 0 without tokens.
    """
    each = [-sum(logprob for _, logprob in t.top) / len(t.top) for t in tokens if t.top]
    if not each:
        return 0.0
    width = min(window, len(each))
    total = sum(each[:width])
    lowest = total
    for at in range(width, len(each)):
        total += each[at] - each[at - width]
        lowest = min(lowest, total)
    return max(lowest / width, 0.0)


def _weight(drawn: Drawn[Any]) -> float:
    return group_confidence(drawn.sample.logprobs)


def _key_of(value: Any, key: Key | None) -> Hashable:
    if key is not None:
        return key(value)
    if isinstance(value, str):
        return " ".join(value.casefold().split())
    try:
        hash(value)
    except TypeError:  # it is a list, or holds one
        return repr(value)
    return value
