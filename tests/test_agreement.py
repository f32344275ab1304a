"""Agreement: answers that say the same count as one, however they are dressed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.router.agreement import agreement, plain_answer


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("B", "letter b"),
        ("(b).", "letter b"),
        ("The answer is B.", "letter b"),
        ("Reasons first.\nAnswer: **C**", "letter c"),
        ("Vitamin C", "vitamin c"),
        ("42", "number 42"),
        ("It costs $1,200.00.", "number 1200"),
        ("1200 dollars", "number 1200"),
        ("5 + 7 = 12", "number 12"),
        ("9-4", "number 4"),
        ("It is -0.50", "number -0.5"),
        ("-0", "number 0"),
        ("007", "number 7"),
        ("So 3 of the 12 apples were left over", "so 3 of 12 apples were left over"),
        ("The Nile!", "nile"),
        ("nile", "nile"),
        ("Zürich", "zürich"),
        ("", ""),
    ],
)
def test_what_an_answer_says(text: str, plain: str) -> None:
    assert plain_answer(text) == plain


def test_each_choice_has_the_share_that_says_the_same() -> None:
    assert agreement(["It is 4.", "4", "five", "so 4"]) == [0.75, 0.75, 0.25, 0.75]


def test_one_alone_agrees_with_itself() -> None:
    assert agreement(["anything"]) == [1.0]
    assert agreement([]) == []


@given(st.lists(st.text(max_size=30), min_size=1, max_size=6))
def test_shares_are_shares_whatever_is_said(texts: list[str]) -> None:
    shares = agreement(texts)
    assert all(1 / len(texts) <= share <= 1 for share in shares)
    assert agreement(texts[::-1]) == shares[::-1]


def test_a_long_answer_is_read_at_its_end() -> None:
    assert plain_answer("because " * 20_000 + "the answer is D") == "letter d"
