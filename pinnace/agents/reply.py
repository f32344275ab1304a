"""What a fleet gives back for one call: its samples, and the account of how they came about.

Plain frozen values that both kinds of fleet make, in process and over HTTP. Knows nothing of steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pinnace.models.completion import FinishReason, TokenLogprob, Usage


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call; `arguments` is the text that the model wrote, `id` what the tool's answer refers to."""

    id: str
    name: str
    arguments: str

    def to_wire(self) -> Mapping[str, Any]:
        """The call in OpenAI's fields."""
        function = {"name": self.name, "arguments": self.arguments}
        return {"id": self.id, "type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class Sample:
    """One of the `n` answers to one call. `logprobs` is empty where they were not asked for."""

    text: str
    calls: tuple[Call, ...] = ()
    finish_reason: FinishReason = "stop"
    logprobs: tuple[TokenLogprob, ...] = ()

    def mean_logprob(self) -> float | None:
        """Natural log-probability per token; None where there are none."""
        return sum(t.logprob for t in self.logprobs) / len(self.logprobs) if self.logprobs else None


@dataclass(frozen=True, slots=True)
class Settled:
    """Who answers, before the first piece of it; the models that its route tried before were climbed past."""

    model: str
    rungs: tuple[str, ...]
    why: str

    @property
    def escalated(self) -> bool:
        """Whether the route climbed to it."""
        return len(self.rungs) > 1


@dataclass(frozen=True, slots=True)
class Account:
    """How an answer came about.

    `rungs` are the models tried, in order; `confidence` is the probability that the first sample is right,
    None where whoever answered says none; `cost_usd` and `joules` are of all rungs together (`joules` None
    where nothing is known of them, `cost_usd` 0 there), `usage` of the answering model alone; `seconds` is
    what the caller waited.
    """

    model: str
    rungs: tuple[str, ...]
    confidence: float | None
    escalated: bool
    why: str
    usage: Usage
    cost_usd: float
    joules: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one call: at least one sample, and its account."""

    samples: tuple[Sample, ...]
    account: Account


@dataclass(frozen=True, slots=True)
class Member:
    """A model that a fleet may be asked for by name.

    Prices are USD per million tokens, `joules_per_token` of one read and one written; None where unknown.
    `votes` is how many samples it draws for an answer that is held to a form.
    """

    name: str
    input_price: float | None = None
    output_price: float | None = None
    joules_per_token: tuple[float, float] | None = None
    votes: int = 1

    @property
    def price(self) -> float:
        """What a token read and one written cost together: by this models are cheaper or dearer."""
        return (self.input_price or 0.0) + (self.output_price or 0.0)
