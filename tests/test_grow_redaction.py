"""What is taken out of texts before anybody learns from them."""

import pytest

pytest.importorskip("detect_secrets")

from pinnace.eval.grow.examples import checked_examples, redacted_examples
from pinnace.eval.grow.redaction import Redactor, is_mostly_hidden
from pinnace.models.training.rows import Refusal

REDACTOR = Redactor()


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("write to ada.l+x@example.co.uk, please", "write to <EMAIL>, please"),
        ("call (415) 555-2671 or +44 20 7946 0958", "call <PHONE> or <PHONE>"),
        ("my card 4111 1111 1111 1111 was stolen", "my card <CARD> was stolen"),
        ("pay DE89 3704 0044 0532 0130 00 now", "pay <IBAN> now"),
        ("my number is 536-90-4399", "my number is <SSN>"),
        ("ping 192.168.0.17 and 2001:db8::8a2e:370:7334", "ping <IP> and <IP>"),
        ("key AKIAIOSFODNN7EXAMPLE here", "key <SECRET> here"),
        ("use ghp_" + "a1B2c3D4e5F6" * 3 + " there", "use <SECRET> there"),
        ("my password is hunter2!x, help", "my password is <SECRET>, help"),
        ("token zQ8vT1nK4wYc7Rb2Hs9Lm0Xd5Fg3Jp6A ends", "token <SECRET> ends"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----", "<SECRET>"),
    ],
)
def test_secrets_and_identifiers_become_placeholders(text: str, left: str) -> None:
    found = REDACTOR.redact(text)
    assert found.text == left
    assert sum(found.found.values()) == left.count("<")


@pytest.mark.parametrize(
    "text",
    [
        "what's the pin code for",
        "i forgot my password",
        "add 12345 and 678, then 3.14",
        "at 10:30 on 2026-11-23",
        "transfer 500 dollars to savings",
        "what expression would i use to say i love you if i were an italian",
        "version 1.2.3 of a-very-long-hyphenated-package-name",
        "my password is wrong.",
    ],
)
def test_plain_questions_are_left_alone(text: str) -> None:
    assert REDACTOR.redact(text).text == text


def test_rows_are_redacted_and_counted_and_those_that_are_secrets_refused() -> None:
    rows = [{"prompt": f"question {i}", "answer": "a"} for i in range(40)]
    rows[3] = {"prompt": "mail ada@example.com about it", "answer": "mail", "system": "ada@example.com asks"}
    rows[5] = {"prompt": "who is it?", "answer": "ada@example.com"}
    rows[7] = {"prompt": "AKIAIOSFODNN7EXAMPLE", "answer": "a"}
    rows[9] = {"prompt": "", "answer": "a"}
    found = redacted_examples(checked_examples(rows), REDACTOR)
    assert found.refused == (
        Refusal(6, "answer: holds what looks like email, which is not to be learnt"),
        Refusal(8, "prompt: is in the main what looks like secret"),
        Refusal(10, "prompt: empty"),
    )
    assert found.redacted == {"EMAIL": 2}
    assert found.kept[3].row.prompt == "mail <EMAIL> about it"
    assert found.kept[3].row.system == "<EMAIL> asks"
    assert len(found.kept) == 37


def test_a_request_of_two_domains_is_refused_the_second_time() -> None:
    rows = [{"prompt": f"ask {n}", "answer": "a", "domain": "one"} for n in range(40)]
    rows[3] = {"prompt": "write to ada@example.com", "answer": "a", "domain": "one"}
    rows[7] = {"prompt": "write to bob@example.com", "answer": "b", "domain": "two"}  # the same once redacted
    rows[8] = {"prompt": "ask 1", "answer": "a"}
    rows[9] = {"prompt": "ask 1", "answer": "c", "domain": "one"}
    found = redacted_examples(checked_examples(rows), REDACTOR)
    assert found.refused == (
        Refusal(8, "domain: row 4 asks the same in one"),
        Refusal(9, "domain: row 2 asks the same in one"),
    )
    assert len(found.kept) == 38


def test_what_is_mostly_hidden_is_told() -> None:
    assert is_mostly_hidden("ada@example.com", REDACTOR.redact("ada@example.com"))
    text = "please write a long letter to ada@example.com"
    assert not is_mostly_hidden(text, REDACTOR.redact(text))
