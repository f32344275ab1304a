"""Scoring rules: hand cases for each, and properties that hold for any text."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.eval.scoring import LETTERS, RULES, score, words

OPTIONS = ("dry palms", "wet palms", "palms covered with oil", "palms")
KINDS = ("abbreviation", "description", "thing", "person", "place", "number")


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [
        ("18", "18", True),
        ("She makes $18 every day.", "18", True),
        ("16 - 3 - 4 = 9, and 9 * 2 = 18.00", "18", True),
        ("The total is 1,234,567.", "1234567", True),
        ("That costs $1,200.50", "1200.5", True),
        ("The numbers are 3,4,5", "5", True),
        ("It is -5 degrees", "-5", True),
        ("It is −5 degrees", "-5", True),
        ("10-5", "5", True),
        ("(3)-4", "4", True),
        ("That leaves .5", "0.5", True),
        ("8", "8.0", True),
        ("\\boxed{42}", "42", True),
        ("**42**", "42", True),
        ("18 dollars for 2 days", "18", False),
        ("eighteen", "18", False),
        ("", "18", False),
        ("180", "18", False),
        ("-18", "18", False),
        ("18", "no gold number", False),
    ],
)
def test_number_compares_the_last_number(answer, expected, right):
    assert score("number", answer, expected) == float(right)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("B", "B"),
        ("b", "B"),
        ("b)", "B"),
        ("B. wet palms", "B"),
        ("(B) wet palms", "B"),
        ("**B**", "B"),
        ("B is the right option.", "B"),
        ("A", "A"),
        ("A. dry palms", "A"),
        ("A is right because", "A"),
        ("The answer is B.", "B"),
        ("The correct answer is: (C)", "C"),
        ("The right option is **C**.", "C"),
        ("Answer: c.", "C"),
        ("I think the answer is A.", "A"),
        ("A person has wet palms, so those.", "B"),
        ("The answer is a pair of palms covered with oil", "C"),
        ("wet palms", "B"),
        ("palms", "D"),
        ("Palms, covered with OIL!", "C"),
        ("It must be (C).", "C"),
        ("Between dry palms and wet palms I choose B.", "B"),
    ],
)
def test_choice_finds_the_letter_or_the_text(answer, expected):
    assert {letter for letter in "ABCD" if score("choice", answer, letter, OPTIONS) == 1.0} == {expected}


@pytest.mark.parametrize(
    "answer",
    ["", "I do not know", "dry palms or wet palms", "A person rubs", "Either (A) or (B)", "E", "e.g. hands"],
)
def test_choice_is_wrong_where_nothing_is_chosen(answer):
    assert all(score("choice", answer, letter, OPTIONS) == 0.0 for letter in "ABCD")


def test_choice_believes_the_letter_over_the_text():
    assert score("choice", "B. dry palms", "B", OPTIONS) == 1.0
    assert score("choice", "B. dry palms", "A", OPTIONS) == 0.0


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("Yes, it is.", "true"),
        ("TRUE", "true"),
        ("No. It is true that", "false"),
        ("That is not true.", "false"),
        ("It isn't true", "false"),
        ("The statement is false.", "false"),
        ("I know nothing of nobody", None),
        ("", None),
    ],
)
def test_boolean_takes_the_first_word_of_truth(answer, said):
    assert score("boolean", answer, "true") == float(said == "true")
    assert score("boolean", answer, "no") == float(said == "false")


def test_label_takes_the_first_one_named():
    assert score("label", "A person, or a place.", "person", KINDS) == 1.0
    assert score("label", "A person, or a place.", "place", KINDS) == 0.0
    assert score("label", "Something", "thing", KINDS) == 0.0
    assert score("label", "", "thing", KINDS) == 0.0


def test_label_prefers_the_longer_of_two_that_start_together():
    labels = ("card", "card declined")
    assert score("label", "Card_declined", "card declined", labels) == 1.0
    assert score("label", "Card_declined", "card", labels) == 0.0


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [
        ("The Moon's path is called an orbit.", "orbit", True),
        ("Snakes shed their skin.", "snake", True),
        ("It is made of the cell wall", "a cell wall", True),
        ("CARBON-DIOXIDE", "carbon dioxide", True),
        ("Café", "café", True),
        ("orbital", "orbit", False),
        ("the wall of a cell", "cell wall", False),
        ("anything", "the", False),
        ("", "orbit", False),
    ],
)
def test_contains_wants_whole_words(answer, expected, right):
    assert score("contains", answer, expected) == float(right)


def test_none_scores_nothing():
    assert math.isnan(score("none", "anything", ""))


@given(
    rule=st.sampled_from(sorted({*RULES} - {"calls", "code"})),
    answer=st.text(),
    expected=st.text(),
    n=st.integers(0, 10),
)
def test_every_rule_answers_any_text_with_right_wrong_or_nothing(rule, answer, expected, n):
    got = score(rule, answer, expected, tuple(f"option {i}" for i in range(n)))
    assert math.isnan(got) if rule == "none" else got in (0.0, 1.0)


@given(st.integers(-(10**12), 10**12), st.text(st.characters(categories=("Ll", "Zs"))))
def test_number_finds_a_number_however_it_is_written(number, before):
    for written in (f"{number}", f"{number:,}", f"${number}", f"{number}.0", f"{number}.", f"**{number}**"):
        assert score("number", f"7 {before} {written}", str(number)) == 1.0


@given(st.integers(0, 9), st.integers(0, 9), st.sampled_from(["{}", "({})", "{}. {}", "The answer is {}."]))
def test_choice_is_right_for_the_gold_letter_alone(said, gold, form):
    options = tuple(f"thing number {i}" for i in range(10))
    answer = form.format(LETTERS[said], options[said])
    assert score("choice", answer, LETTERS[gold], options) == float(said == gold)


@given(st.lists(st.sampled_from(KINDS), min_size=1))
def test_label_is_the_first_of_any_list(named):
    assert score("label", ", ".join(named), named[0], KINDS) == 1.0


@given(st.text(), st.text(), st.text())
def test_contains_finds_what_was_put_in(before, gold, after):
    whole = f"{before} {gold} {after}"
    has_words = bool(set(words(gold)) - {"a", "an", "the"})
    assert score("contains", whole, gold) == float(has_words)
