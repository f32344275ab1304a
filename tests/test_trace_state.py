"""`tracestate` goes along with `traceparent`, to remote backends, and never without it."""

import pytest
from server_fixtures import ASK, house, member

from pinnace.server.tracing import incoming_state

PARENT = f"00-{'a' * 32}-{'b' * 16}-01"


@pytest.mark.parametrize(
    ("headers", "passed"),
    [
        ({"traceparent": PARENT, "tracestate": "vendor=1,other=2"}, {"traceparent", "tracestate"}),
        ({"traceparent": PARENT}, {"traceparent"}),
        ({"traceparent": PARENT, "tracestate": "x" * 513}, {"traceparent"}),
        ({"tracestate": "vendor=1"}, set()),
        ({"traceparent": "nonsense", "tracestate": "vendor=1"}, set()),
    ],
)
async def test_the_state_of_a_trace_goes_along_with_its_parent(
    headers: dict[str, str], passed: set[str]
) -> None:
    async with house(member("only", {"answer": "It is."})) as place, place.http() as client:
        body = {"model": "auto", "messages": ASK}
        assert (await client.post("/v1/chat/completions", json=body, headers=headers)).status_code == 200
        (request,) = place.backend("only").requests
    assert {name for name, _ in request.trace_headers} == passed
    assert all(headers[name] == value for name, value in request.trace_headers)


@pytest.mark.parametrize("value", [b"", b" ", b"a=1\r\nx: y", b"a=\xff", b"a" * 513, b"a=1 "])
def test_a_state_that_is_not_plain_is_dropped(value: bytes) -> None:
    assert incoming_state([(b"tracestate", value)]) == ""
    assert incoming_state([(b"tracestate", b"a=1"), (b"tracestate", b"b=2")]) == ""
