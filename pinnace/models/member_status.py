"""What a fleet member is doing."""

from dataclasses import dataclass
from typing import Literal

State = Literal["starting", "ready", "restarting", "failed", "absent", "stopped"]


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """What a member is doing, and why where it cannot serve."""

    state: State
    detail: str = ""
