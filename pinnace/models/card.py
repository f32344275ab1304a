"""The model card: what the router may know of one fleet member without running it."""

from dataclasses import dataclass

from pinnace.config import Energy, Member, Sampling
from pinnace.models.completion import Usage


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One fleet member as the router sees it.

    Prices are USD per million tokens. `context_window` is in tokens, None where it is not known.
    `estimates` is the router state's column that describes this model, and `energy` what its operator
    declares that its tokens take. Below `least_bar` a judged answer never stands where a dearer model that
    is about as good could answer. `votes` is how many samples it draws for an answer that is held to a form.
    """

    name: str
    backend: str
    input_price: float
    output_price: float
    context_window: int | None
    tools: bool
    json_schema: bool
    sampling: Sampling
    estimates: str
    energy: Energy | None = None
    least_bar: float = 0.0
    votes: int = 1

    @property
    def is_remote(self) -> bool:
        """Whether its tokens are made, and charged for, elsewhere."""
        return self.backend == "openai"

    def cost(self, usage: Usage) -> float:
        """What `usage` costs on this model, in USD."""
        return (usage.prompt_tokens * self.input_price + usage.completion_tokens * self.output_price) / 1e6


def card_of(member: Member, *, backend: str, context_window: int | None = None) -> ModelCard:
    """The card of a configured member; `context_window` is the weights' own where the member says none."""
    return ModelCard(
        name=member.name,
        backend=backend,
        input_price=member.price.input,
        output_price=member.price.output,
        context_window=member.context_window or context_window,
        tools=member.tools,
        json_schema=member.json_schema,
        sampling=member.sampling,
        estimates=member.estimates or member.name,
        energy=member.energy,
        least_bar=member.least_bar,
        votes=member.votes.samples if member.votes is not None else 1,
    )
