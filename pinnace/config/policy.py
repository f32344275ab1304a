"""The modes of the policy, a section each: `pinnace.router` says what they do."""

from typing import Annotated, Any, Literal, cast

from pydantic import Discriminator, Field, Tag

from pinnace.config.section import Section


class Policy(Section):
    """How quality is traded for cost, at one fixed dial: see `pinnace.router.policy`."""

    mode: Literal["tradeoff"] = "tradeoff"
    alpha: float = Field(default=0.75, gt=0, le=1)


class FloorPolicy(Section):
    """At least `keep` of the large model's quality with `confidence`: see `pinnace.router.floor`.

    `horizon` is the number of requests over which that is promised; None, as many as it was calibrated on.
    """

    mode: Literal["quality_floor"]
    keep: float = Field(gt=0, le=1)
    confidence: float = Field(default=0.95, ge=0.5, lt=1)
    horizon: int | None = Field(default=None, ge=1)


class BudgetPolicy(Section):
    """USD per 1,000 requests, held on average: see `pinnace.router.budget`."""

    mode: Literal["budget"]
    usd_per_1k: float = Field(gt=0)


def mode(section: Any) -> str | None:
    """Which policy a section is; without a mode it is a tradeoff. Its name is in pydantic's messages."""
    if isinstance(section, dict):
        return str(cast(dict[str, Any], section).get("mode", "tradeoff"))
    return getattr(section, "mode", None)


MODES = ("tradeoff", "quality_floor", "budget")
POLICY_KEYS = frozenset({*Policy.model_fields, *FloorPolicy.model_fields, *BudgetPolicy.model_fields})
AnyPolicy = Annotated[
    Annotated[Policy, Tag("tradeoff")]
    | Annotated[FloorPolicy, Tag("quality_floor")]
    | Annotated[BudgetPolicy, Tag("budget")],
    Discriminator(mode),
]
