"""Who is suspected of an engine's death, who is cleared, and who is refused."""

from dataclasses import fields, replace

import pytest

from pinnace.models.completion import Message, Request
from pinnace.models.suspects import FORGET_S, Suspects, fingerprint


def ask(text: str, **others: object) -> Request:
    return Request((Message("user", text),), **others)


def test_every_try_of_a_request_has_one_fingerprint_and_another_request_another() -> None:
    again = replace(ask("a"), id="2", deadline=3.0, caller="k", priority=1)
    assert fingerprint(ask("a")) == fingerprint(again)
    others = [
        ask("b"),
        ask("a", max_tokens=1),
        ask("a", stop=("x",)),
        ask("a", response_format={"type": "t"}),
    ]
    assert len({fingerprint(each) for each in (ask("a"), *others)}) == 5
    assert fingerprint(ask("\ud800")) != fingerprint(ask("\ud801"))


def test_what_a_fingerprint_leaves_out_are_fields_of_a_request() -> None:
    from pinnace.models.suspects import _NOT_THE_ENGINES

    assert {field.name for field in fields(Request)} > _NOT_THE_ENGINES


def test_one_that_kills_an_engine_twice_alone_is_guilty() -> None:
    suspects = Suspects()
    suspects.blame([ask("bad")])
    assert suspects.is_suspect(ask("bad"))
    assert not suspects.is_guilty(ask("bad"))
    suspects.blame([ask("bad")])
    assert suspects.is_guilty(ask("bad"))


def test_the_innocent_are_cleared_and_the_culprit_is_found() -> None:
    suspects = Suspects()
    crowd = [ask(str(number)) for number in range(5)]
    suspects.blame(crowd)
    assert all(suspects.is_suspect(each) and not suspects.is_guilty(each) for each in crowd)
    for each in crowd[:4]:
        suspects.clear(each)
    suspects.blame([crowd[4]])
    assert [suspects.is_guilty(each) for each in crowd] == [False] * 4 + [True]
    assert len(suspects) == 1


def test_two_deaths_in_company_convict_nobody_and_three_do() -> None:
    suspects = Suspects()
    for _ in range(2):
        suspects.blame([ask("a"), ask("b")])
    assert not suspects.is_guilty(ask("a"))
    suspects.blame([ask("a"), ask("c")])
    assert suspects.is_guilty(ask("a"))
    assert not suspects.is_guilty(ask("b"))
    assert not suspects.is_guilty(ask("c"))


def test_the_same_request_many_times_at_one_death_counts_once() -> None:
    suspects = Suspects()
    suspects.blame([ask("a")] * 8)
    assert not suspects.is_guilty(ask("a"))
    suspects.blame([ask("a")] * 8)
    assert suspects.is_guilty(ask("a"))


def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    suspects = Suspects(capacity=3)
    for number in range(5):
        suspects.blame([ask(str(number))])
    assert len(suspects) == 3
    assert not suspects.is_suspect(ask("1"))
    assert suspects.is_suspect(ask("4"))


def test_the_guilty_are_forgotten_after_an_hour() -> None:
    now = [0.0]
    suspects = Suspects(clock=lambda: now[0])
    suspects.blame([ask("a")])
    suspects.blame([ask("a")])
    now[0] = FORGET_S - 1
    assert suspects.is_guilty(ask("a"))
    now[0] = FORGET_S + 1
    assert not suspects.is_guilty(ask("a"))
    assert len(suspects) == 0


@pytest.mark.parametrize("known", [0, 1])
def test_asking_of_a_stranger_says_no(known: int) -> None:
    suspects = Suspects()
    suspects.blame([ask("other")] * known)
    assert not suspects.is_suspect(ask("a"))
    assert not suspects.is_guilty(ask("a"))
