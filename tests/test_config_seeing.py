"""The keys of what an operator sees: traces, log lines, declared energy."""

import pytest
from pydantic import ValidationError

from pinnace.config import Energy, Server, Tracing


def test_everything_is_quiet_by_default() -> None:
    server = Server()
    assert (server.log_format, server.log_level) == ("text", "info")
    assert (server.tracing.otlp_endpoint, server.tracing.sample) == (None, 1.0)


@pytest.mark.parametrize(
    "address", ["collector:4318", "ftp://x/v1/traces", "http://user:secret@x/v1", "http://x/?k=v"]
)
def test_a_collector_is_an_address_without_secrets(address: str) -> None:
    with pytest.raises(ValidationError) as found:
        Tracing(otlp_endpoint=address)
    assert "secret" not in str(found.value)


def test_energy_without_a_source_is_refused() -> None:
    with pytest.raises(ValidationError, match="source"):
        Energy.model_validate({"input": 1, "output": 2})


@pytest.mark.parametrize("fields", [{"log_format": "xml"}, {"log_level": "loud"}, {"tracing": {"sample": 2}}])
def test_what_is_unknown_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Server.model_validate(fields)
