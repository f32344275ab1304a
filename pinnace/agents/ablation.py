"""Ablations: what is changed in every step of a pipeline, to learn what it was worth there.

A session applies one to each step that it is asked, so that the pipeline's own code stays as it is. A
`Variant` is how people write one. Knows neither suites nor scores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from pinnace.agents.reply import Member
from pinnace.agents.step import Step
from pinnace.agents.strategy import Strategy, single
from pinnace.agents.voting import vote
from pinnace.errors import ConfigError

T = TypeVar("T")
ROUTED, SMALL, LARGE, SINGLE, VOTE = "routed", "small", "large", "single", "vote"
EXPECTED = (
    "words joined by '+': at most one of 'routed', 'small' and 'large', at most one of 'single' and 'vote=N' "
    "(N of at least 2), and 'name=value' for the pipeline's own"
)


@dataclass(frozen=True, slots=True)
class Ablation:
    """What stands in place of what a step says; None leaves it as it is.

    `model` answers every step, in place of the route and its climbs. `strategy` is that of every step,
    `spare` that of the steps alone that have none of their own.
    """

    model: str | None = None
    strategy: Strategy | None = None
    spare: Strategy | None = None

    def of(self, step: Step[T]) -> Step[T]:
        """`step` with what is changed in it; the step itself where nothing is."""
        own = self.spare if step.strategy is single else None
        model, strategy = self.model or step.model, self.strategy or own or step.strategy
        if model == step.model and strategy is step.strategy:
            return step
        return replace(step, model=model, strategy=strategy, tools=step.offered)


AS_WRITTEN = Ablation()
"""Changes nothing."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run a pipeline; `name` is what was written.

    `size` is `small` or `large` where one model answers every step, `votes` the answers that are drawn for a
    step: 1 for every step, more for those without a strategy of their own. `words` are the pipeline's own.
    """

    name: str
    size: str | None = None
    votes: int | None = None
    words: Mapping[str, str] = field(default_factory=dict[str, str])

    def ablation(self, members: Sequence[Member]) -> Ablation:
        """What it changes, in a fleet of these members.

        :raises ConfigError: when their prices do not tell the cheapest and the dearest.
        """
        return Ablation(
            model=None if self.size is None else _pinned(members, self.size, self.name),
            strategy=single if self.votes == 1 else None,
            spare=vote(self.votes) if self.votes is not None and self.votes > 1 else None,
        )


def variants(text: str) -> tuple[Variant, ...]:
    """Read `routed,small,vote=4,large+planner=off`: variants with commas between, words with `+`.

    :raises ConfigError: when a word is unknown, or a variant comes twice.
    """
    found = tuple(_variant(part.strip()) for part in text.split(","))
    if len({each.name for each in found}) < len(found):
        raise ConfigError(f"variants: expected each once, got {text!r}")
    return found


def _variant(name: str) -> Variant:
    said = [word.strip().partition("=") for word in name.split("+")]
    sizes = [word for word, equals, _ in said if not equals and word in (ROUTED, SMALL, LARGE)]
    votes = [_votes(word, value) for word, _, value in said if word in (SINGLE, VOTE)]
    words = {word: value for word, equals, value in said if equals and _is_own(word)}
    is_known = len(sizes) + len(votes) + len(words) == len(said)
    if not is_known or len(sizes) > 1 or len(votes) > 1 or 0 in votes:
        raise ConfigError(f"variant {name!r:.80}: expected {EXPECTED}")
    size = next((each for each in sizes if each != ROUTED), None)
    return Variant(name, size, votes[0] if votes else None, words)


def _is_own(word: str) -> bool:
    return word.isidentifier() and word not in (ROUTED, SMALL, LARGE, SINGLE, VOTE)


def _votes(word: str, value: str) -> int:
    """Answers to draw; 0 where it is not said properly."""
    if word == SINGLE:
        return 0 if value else 1
    return int(value) if value.isdecimal() and int(value) > 1 else 0


def _pinned(members: Sequence[Member], size: str, variant: str) -> str:
    """The cheapest or the dearest; of those at one price the first, as climbs have it."""
    if not members:
        raise ConfigError(f"variant {variant!r}: expected a fleet that lists its models, got none")
    free = [each.name for each in members if each.input_price is None or each.output_price is None]
    if free and len(members) > 1:
        raise ConfigError(f"variant {variant!r}: expected a price of every model, {free[0]!r} has none")
    chosen = min if size == SMALL else max
    return chosen(members, key=lambda each: each.price).name
