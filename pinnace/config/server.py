"""The endpoint: where it listens, who may use it, and its caps."""

from pydantic import Field, field_validator

from pinnace.config.admin import Admin
from pinnace.config.keys import Key, ResponseCache
from pinnace.config.section import Secret, Section
from pinnace.config.seeing import LogFormat, LogLevel, Tracing


class Limits(Section):
    """The caps on what one request may ask for."""

    body_bytes: int = Field(default=2_000_000, ge=1_000)
    messages: int = Field(default=256, ge=1)
    max_tokens: int = Field(default=4096, ge=1)
    default_max_tokens: int = Field(default=512, ge=1)
    n: int = Field(default=8, ge=1)
    schema_bytes: int = Field(default=65_536, ge=1)
    schema_depth: int = Field(default=48, ge=1, le=64)
    schema_properties: int = Field(default=1_000, ge=1)
    schema_enum: int = Field(default=1_000, ge=1)
    pattern_chars: int = Field(default=512, ge=1)
    prompts: int = Field(default=16, ge=1)
    inputs: int = Field(default=256, ge=1)
    json_members: int = Field(default=10_000, ge=100)
    json_depth: int = Field(default=64, ge=8)
    headers: int = Field(default=128, ge=16)
    header_bytes: int = Field(default=32_768, ge=1_024)


class Server(Section):
    """The endpoint: where it listens, who may use it, and how much it takes on at once."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    api_keys: tuple[Secret, ...] = ()
    keys: tuple[Key, ...] = ()
    cache: ResponseCache = ResponseCache()
    max_running: int = Field(default=64, ge=1)
    max_queue: int = Field(default=256, ge=0)
    max_tokens_in_flight: int = Field(default=400_000, ge=1)
    batch_share: float = Field(default=0.75, gt=0, le=1)
    read_timeout_s: float = Field(default=30, gt=0)
    write_timeout_s: float = Field(default=60, gt=0)
    drain_s: float = Field(default=30, gt=0)
    admin: Admin | None = None
    request_timeout_s: float = Field(default=600, gt=0)
    log_format: LogFormat = "text"
    log_level: LogLevel = "info"
    tracing: Tracing = Tracing()
    limits: Limits = Limits()

    @field_validator("keys")
    @classmethod
    def _keys_differ(cls, keys: tuple[Key, ...]) -> tuple[Key, ...]:
        for what in ("name", "sha256"):
            found = [getattr(key, what) for key in keys]
            doubled = sorted({each for each in found if found.count(each) > 1})
            if doubled:
                raise ValueError(f"every {what} must differ, got {doubled!r} more than once")
        return keys
