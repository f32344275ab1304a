"""What an operator sees beside metrics: traces, the form of log lines, and declared energy."""

from typing import Literal

from pydantic import Field

from pinnace.config.section import Section

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]


class Tracing(Section):
    """Where traces go (OTLP over HTTP; None: nowhere), and the share of requests without a parent traced.

    A request whose client sent a `traceparent` is traced where that says so.
    """

    otlp_endpoint: str | None = Field(default=None, pattern=r"^https?://[^\s@?#]+$")
    sample: float = Field(default=1.0, ge=0, le=1)


class Energy(Section):
    """Joules per thousand tokens, read and written, and where the figures come from: an estimate."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    source: str = Field(min_length=1, max_length=200)
