"""The endpoint: where it listens, who may use it, and its caps."""

from pydantic import Field

from pinnace.config.section import Secret, Section


class Limits(Section):
    """The caps on what one request may ask for."""

    body_bytes: int = Field(default=2_000_000, ge=1_000)
    messages: int = Field(default=256, ge=1)
    max_tokens: int = Field(default=4096, ge=1)
    default_max_tokens: int = Field(default=512, ge=1)
    n: int = Field(default=8, ge=1)


class Server(Section):
    """The endpoint: where it listens, who may use it, and how much it takes on at once."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    api_keys: tuple[Secret, ...] = ()
    max_running: int = Field(default=64, ge=1)
    max_queue: int = Field(default=256, ge=0)
    max_tokens_in_flight: int = Field(default=400_000, ge=1)
    drain_s: float = Field(default=30, gt=0)
    limits: Limits = Limits()
