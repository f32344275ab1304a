"""Exact answers and JSON answers: hand cases, and properties."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.eval.scoring import score

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [
        ("Freeze_Account.", "freeze account", True),
        ("  Café ", "café", True),
        ("freeze my account", "freeze account", False),
        ("", "freeze account", False),
        ("++", "++", True),
        ("+", "-", False),
    ],
)
def test_exact_compares_the_whole_answer_by_its_words(answer, expected, right):
    assert score("exact", answer, expected) == float(right)


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [
        ('{"b": [1, 2], "a": null}', '{"a": null, "b": [1.0, 2]}', True),
        ('Here it is:\n```json\n{"a": 1}\n```\nGood?', '{"a": 1}', True),
        ('{"a": [2, 1]}', '{"a": [1, 2]}', False),
        ('{"a": 1, "b": 2}', '{"a": 1}', False),
        ("true", "1", False),
        ("1", "true", False),
        ('"1"', "1", False),
        ("[1]", "[1, 1]", False),
        ('{"a": 1', '{"a": 1}', False),
        ("[" * 5000 + "]" * 5000, "[]", False),
    ],
)
def test_json_compares_values_and_not_how_they_are_written(answer, expected, right):
    assert score("json", answer, expected) == float(right)


def test_json_nested_deeper_than_python_goes_is_no_right_answer():
    deep = "[" * 900 + "]" * 900
    assert score("json", deep, deep) in (0.0, 1.0)


@given(VALUES)
def test_json_is_right_however_it_is_indented_and_sorted(value):
    written = json.dumps(value, indent=3, sort_keys=True)
    assert score("json", written, json.dumps(value)) == 1.0
    assert score("json", json.dumps([value]), json.dumps(value)) == 0.0
