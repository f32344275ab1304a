"""What an operator sees beside metrics: traces, the form of log lines, and energy."""

from typing import Literal

from pydantic import Field, model_validator

from pinnace.config.section import Section

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
Basis = Literal["declared", "calibrated", "estimated"]


class Tracing(Section):
    """Where traces go (OTLP over HTTP; None: nowhere), and the share of requests without a parent traced.

    A request whose client sent a `traceparent` is traced where that says so.
    """

    otlp_endpoint: str | None = Field(default=None, pattern=r"^https?://[^\s@?#]+$")
    sample: float = Field(default=1.0, ge=0, le=1)


class Energy(Section):
    """Joules per thousand tokens, read and written, and where they come from; or a meter of this machine.

    `basis` is how the figures came about: declared by the operator, calibrated by a run under known watts, or
    estimated by a formula. Where a `meter` can be read, what it measures holds instead of them.
    """

    input: float | None = Field(default=None, ge=0)
    output: float | None = Field(default=None, ge=0)
    source: str | None = Field(default=None, min_length=1, max_length=500)
    basis: Basis = "declared"
    meter: str | None = Field(default=None, pattern=r"^(rapl|nvml(:[0-9]{1,2})?)$")

    @model_validator(mode="after")
    def _is_no_bare_claim(self) -> "Energy":
        """Figures have a source, and there is something to go by."""
        figures = (self.input, self.output, self.source)
        if None in figures and (self.meter is None or figures != (None, None, None)):
            raise ValueError("expected input, output and source together, or a meter")
        return self
