"""OpenTelemetry traces of requests: off unless configured, and then made when a request is over.

The span of a request begins with it, since remote backends are told of it; those inside it (decide, embed,
one for each rung) are made at the end from the times that were taken anyway, so that nothing is traced
per token. Attributes have the names of OpenTelemetry's `gen_ai.*` conventions, and never content. Needs the
extra `otel`, imported only where tracing is configured.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from pinnace.config import Tracing as Settings
from pinnace.errors import ConfigError
from pinnace.server.envelope import Header
from pinnace.server.sight import Sight

_STATE = re.compile(rb"[!-~]([ -~]{0,510}[!-~])?")
_PARENT = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class Tracing(Protocol):
    """Writes traces, or does not."""

    def begin(self, sight: Sight, parent: str) -> str:
        """A request has come, under `parent` where that is not empty; returns what to pass on."""
        ...

    def end(self, sight: Sight, model: str, code: int) -> None:
        """It is over."""
        ...

    def close(self) -> None:
        """Write what waits to be written, and stop."""
        ...


class NoTracing:
    """Traces nothing, and passes on what the client sent."""

    def begin(self, sight: Sight, parent: str) -> str:
        """See `Tracing`."""
        return parent

    def end(self, sight: Sight, model: str, code: int) -> None:
        """See `Tracing`."""

    def close(self) -> None:
        """See `Tracing`."""


NO_TRACING = NoTracing()


def incoming(headers: Iterable[Header]) -> str:
    """The client's `traceparent` where it is one of version 00, else nothing."""
    for name, value in headers:
        if name == b"traceparent":
            return value.decode("ascii") if _PARENT.fullmatch(value) else ""
    return ""


def incoming_state(headers: Iterable[Header]) -> str:
    """The client's `tracestate` where it is plain and of at most 512 characters, else nothing."""
    found = [value for name, value in headers if name == b"tracestate"]
    return found[0].decode("ascii") if len(found) == 1 and _STATE.fullmatch(found[0]) else ""


def make_tracing(config: Settings, backends: Callable[[], Mapping[str, str]]) -> Tracing:
    """The tracing that `router.yaml` asks for; `backends` says what kind of backend each member has.

    :raises ConfigError: when it is asked for and OpenTelemetry is not installed.
    """
    if config.otlp_endpoint is None:
        return NO_TRACING
    try:
        from pinnace.server.otel import OtelTracing, exporting
    except ImportError as error:
        raise ConfigError(
            f"server.tracing needs OpenTelemetry: pip install 'pinnace[otel]' ({error})"
        ) from error
    return OtelTracing(exporting(config.otlp_endpoint), backends, config.sample)
