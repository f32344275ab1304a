"""Headers and log lines that carry words from elsewhere: one line, printable, short."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.router.answer import Committed
from pinnace.server.headers import ascii_line, headers_of
from pinnace.server.logs import FORMAT, OneLine


@given(st.text())
def test_any_reason_is_one_short_line_of_printable_ascii(why: str) -> None:
    line = ascii_line(why)
    assert len(line) <= 200
    assert all(" " <= character <= "~" for character in line)


def test_headers_keep_what_is_plain_and_replace_what_is_not() -> None:
    committed = Committed("small", ("small", "large"), 0.98765, False, "not escalated:\r\nlarge: héé", 0.0)
    assert dict(headers_of(committed, 1.25e-7)) == {
        b"x-pinnace-model": b"small",
        b"x-pinnace-route": b"small>large",
        b"x-pinnace-confidence": b"0.9877",
        b"x-pinnace-cost-usd": b"0.0000001250",
        b"x-pinnace-why": b"not escalated:  large: h??",
    }


@pytest.mark.parametrize("with_traceback", [False, True])
def test_a_message_with_line_breaks_stays_one_line(with_traceback: bool) -> None:
    raised = (ValueError, ValueError("inside"), None) if with_traceback else None
    record = logging.LogRecord("pinnace", logging.ERROR, "x", 1, "large: %s", ("a\nERROR b\r",), raised)
    lines = OneLine(FORMAT).format(record).split("\n")
    assert lines[0].endswith("ERROR pinnace: large: a\\nERROR b\\r")
    assert lines[1:] == (["ValueError: inside"] if with_traceback else [])
