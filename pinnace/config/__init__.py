"""`router.yaml` as one pydantic model: the only place that knows its keys.

Unknown keys are refused with their path and the nearest known key. `${NAME}` in a string is taken
from the environment; a fleet member marked `optional` whose variables are not set is left out and
named in `Config.absent`. No message quotes a secret. Knows nothing of how any section is used.
"""

from pinnace.config.config import Config
from pinnace.config.document import MAX_BYTES
from pinnace.config.explore import Explore
from pinnace.config.fleet import (
    Engine,
    FleetMember,
    Member,
    OpenAIMember,
    Price,
    Sampling,
    ScriptedMember,
    ScriptedReply,
    Timeouts,
    VllmMember,
)
from pinnace.config.ledger import Ledger
from pinnace.config.loading import DEFAULT_PATH, load_config, parse_config
from pinnace.config.policy import AnyPolicy, BudgetPolicy, FloorPolicy, Policy
from pinnace.config.router import Router
from pinnace.config.section import Secret, Section
from pinnace.config.server import Limits, Server

__all__ = [
    "DEFAULT_PATH",
    "MAX_BYTES",
    "AnyPolicy",
    "BudgetPolicy",
    "Config",
    "Engine",
    "Explore",
    "FleetMember",
    "FloorPolicy",
    "Ledger",
    "Limits",
    "Member",
    "OpenAIMember",
    "Policy",
    "Price",
    "Router",
    "Sampling",
    "ScriptedMember",
    "ScriptedReply",
    "Secret",
    "Section",
    "Server",
    "Timeouts",
    "VllmMember",
    "load_config",
    "parse_config",
]
