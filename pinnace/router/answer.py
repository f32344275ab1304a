"""What a running route reports: first that it has committed, then the text, then the account of it all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pinnace.models.completion import Delta, Usage

Verdict = Literal["accepted", "climbed", "failed", "abandoned"]


@dataclass(frozen=True, slots=True)
class Times:
    """When an attempt ran: `began` and `ended` on the clock of `time.perf_counter`, the rest in seconds.

    `waited_s` is how long the backend was waited for, all its tokens together, and `first_s` how long for
    its first one, None where none came.
    """

    began: float = 0.0
    ended: float = 0.0
    waited_s: float = 0.0
    first_s: float | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of one rung, charged for every token it spent.

    `accepted`: its text is the answer; `climbed`: judged too doubtful; `failed`: the backend could not;
    `abandoned`: the client went away. `confidence` is the probability that it is
    right (the gate's, or the router's estimate where the backend gives no evidence), and `bar` what it had
    to reach, None on a last rung.

    For learning, all of the first choice: `evidence` by stage, features without content; `is_whole`, whether
    every choice was finished; and `text`, of a draft that was climbed past, which the ledger keeps only
    where it may. `joules` is what it took, and `joules_source` where that figure comes from.
    """

    model: str
    usage: Usage
    cost_usd: float
    verdict: Verdict
    why: str
    confidence: float | None = None
    bar: float | None = None
    is_whole: bool = False
    evidence: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])
    text: str | None = None
    times: Times = Times()
    joules: float | None = None
    joules_source: str = ""


@dataclass(frozen=True, slots=True)
class Committed:
    """The model that answers is settled, and never changes after this.

    `spent_usd` is what all rungs have cost so far; `confidence` is what the decision rested on.
    """

    model: str
    tried: tuple[str, ...]
    confidence: float
    escalated: bool
    why: str
    spent_usd: float


@dataclass(frozen=True, slots=True)
class Answered:
    """The account of one finished request: its attempts in order, and what they came to.

    `usage` is the answering model's own; `cost_usd` is the sum over all attempts.
    """

    model: str
    attempts: tuple[Attempt, ...]
    confidence: float
    escalated: bool
    why: str
    usage: Usage
    cost_usd: float


Event = Committed | Delta | Answered
