"""`router.yaml` as one pydantic model: the only place that knows its keys.

Unknown keys are refused with their path and the nearest known key. `${NAME}` in a string is taken
from the environment; a fleet member marked `optional` whose variables are not set is left out and
named in `Config.absent`. No message quotes a secret. Knows nothing of how any section is used.
"""

from pinnace.config.adapter import AdapterMember, FleetMember, adapter_slots
from pinnace.config.admin import Admin
from pinnace.config.config import Config
from pinnace.config.document import MAX_BYTES
from pinnace.config.embedding import EmbeddingModel
from pinnace.config.explore import Explore
from pinnace.config.fleet import (
    Breaker,
    Engine,
    Member,
    OpenAIMember,
    Price,
    Retries,
    Sampling,
    ScriptedMember,
    ScriptedReply,
    Timeouts,
    VllmMember,
    Votes,
)
from pinnace.config.keys import Key, PriorityName, ResponseCache
from pinnace.config.ledger import Ledger
from pinnace.config.loading import DEFAULT_PATH, load_config, parse_config
from pinnace.config.policy import AnyPolicy, BudgetPolicy, FloorPolicy, Policy
from pinnace.config.router import Router
from pinnace.config.section import Secret, Section
from pinnace.config.seeing import Energy, LogFormat, LogLevel, Tracing
from pinnace.config.server import Limits, Server

__all__ = [
    "DEFAULT_PATH",
    "MAX_BYTES",
    "AdapterMember",
    "Admin",
    "AnyPolicy",
    "Breaker",
    "BudgetPolicy",
    "Config",
    "EmbeddingModel",
    "Energy",
    "Engine",
    "Explore",
    "FleetMember",
    "FloorPolicy",
    "Key",
    "Ledger",
    "Limits",
    "LogFormat",
    "LogLevel",
    "Member",
    "OpenAIMember",
    "Policy",
    "Price",
    "PriorityName",
    "ResponseCache",
    "Retries",
    "Router",
    "Sampling",
    "ScriptedMember",
    "ScriptedReply",
    "Secret",
    "Section",
    "Server",
    "Timeouts",
    "Tracing",
    "VllmMember",
    "Votes",
    "adapter_slots",
    "load_config",
    "parse_config",
]
