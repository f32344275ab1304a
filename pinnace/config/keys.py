"""API keys: each by its hash, with what its holder may use and how much. Never holds a key itself."""

from typing import Literal

from pydantic import Field, field_validator

from pinnace.config.section import Section

PriorityName = Literal["interactive", "batch"]


class Key(Section):
    """One API key. A bound left out does not bind; `models` left out allows the whole fleet.

    `sha256` is the hex digest of the key. Plain SHA-256 is sound here, and a slow hash would only cost time:
    keys are random (at least 128 bits; `pinnace keys new` makes 256), so nobody can guess what to hash.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    models: tuple[str, ...] | None = Field(default=None, min_length=1)
    usd_per_day: float | None = Field(default=None, ge=0)
    usd_total: float | None = Field(default=None, ge=0)
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    priority: PriorityName = "interactive"
    cache: bool = False

    @field_validator("models")
    @classmethod
    def _auto_is_no_model(cls, models: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if models is not None and "auto" in models:
            raise ValueError(
                "expected names of fleet members: 'auto' is always allowed, and routes among them"
            )
        return models


class ResponseCache(Section):
    """The cache of whole answers, for keys with `cache: true`, or for `everyone`; bounded in both ways.

    `bytes` is an estimate of what the answers take in memory.
    """

    everyone: bool = False
    entries: int = Field(default=1024, ge=1)
    bytes: int = Field(default=64_000_000, ge=1_000)
    ttl_s: float = Field(default=3600, gt=0)
