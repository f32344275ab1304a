"""Tool-call equality in the BFCL manner: hand cases that BFCL's own checker decides the same way."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.eval.scoring import score

FUNCTIONS = {
    "area": {
        "required": ["base", "height"],
        "types": {"base": ["integer", None], "height": ["float", None], "unit": ["string", None]},
    },
    "mean": {"required": ["of"], "types": {"of": ["array", "float"], "exact": ["boolean", None]}},
    "book": {
        "required": ["trip"],
        "types": {"trip": ["dict", None], "stops": ["array", "dict"], "names": ["array", "string"]},
    },
}
AREA = {"area": {"base": [10], "height": [5], "unit": ["units", "sq. units", ""]}}
MEAN = {"mean": {"of": [[1.0, 2.0], ["a", "b"]], "exact": [True, ""]}}
BOOK = {
    "book": {
        "trip": [{"to": ["New York, NY", "NYC"], "days": [3, ""]}],
        "stops": [[{"at": ["Rome"]}, {"at": ["Oslo", "Bergen"]}], ""],
        "names": [["Ann Lee", "Bo"], ""],
    }
}


def call(name, **arguments):
    return {"name": name, "arguments": arguments}


def right(calls, *gold):
    expected = json.dumps({"functions": FUNCTIONS, "calls": list(gold)})
    return score("calls", calls if isinstance(calls, str) else json.dumps(calls), expected) == 1.0


@pytest.mark.parametrize(
    ("arguments", "is_right"),
    [
        ({"base": 10, "height": 5}, True),
        ({"base": 10, "height": 5.0, "unit": "SQ units"}, True),
        ({"base": 10.0, "height": 5}, False),
        ({"base": True, "height": 5}, False),
        ({"base": "10", "height": 5}, False),
        ({"base": 11, "height": 5}, False),
        ({"base": 10}, False),
        ({"base": 10, "height": 5, "unit": "miles"}, False),
        ({"base": 10, "height": 5, "depth": 1}, False),
    ],
)
def test_arguments_have_their_type_and_one_of_the_right_values(arguments, is_right):
    assert right([call("area", **arguments)], AREA) is is_right


@pytest.mark.parametrize(
    ("arguments", "is_right"),
    [
        ({"of": [1.0, 2.0]}, True),
        ({"of": ["a", "B"]}, True),
        ({"of": [1.0, 2.0], "exact": True}, True),
        ({"of": [2.0, 1.0]}, False),
        ({"of": [1.0, 2.0], "exact": False}, False),
        ({"of": "1.0, 2.0"}, False),
        ({"of": [1.0, None]}, False),
    ],
)
def test_lists_are_compared_in_their_order(arguments, is_right):
    assert right([call("mean", **arguments)], MEAN) is is_right


@pytest.mark.parametrize(
    ("arguments", "is_right"),
    [
        ({"trip": {"to": "new york ny"}}, True),
        ({"trip": {"to": "NYC", "days": 3}}, True),
        ({"trip": {"to": "NYC", "days": 4}}, False),
        ({"trip": {"days": 3}}, False),
        ({"trip": {"to": "NYC", "by": "train"}}, False),
        ({"trip": {"to": "NYC"}, "stops": [{"at": "Rome"}, {"at": "Bergen"}]}, True),
        ({"trip": {"to": "NYC"}, "stops": [{"at": "Bergen"}, {"at": "Rome"}]}, False),
        ({"trip": {"to": "NYC"}, "stops": [{"at": "Rome"}]}, False),
        ({"trip": {"to": "NYC"}, "stops": ["Rome", "Oslo"]}, False),
        ({"trip": {"to": "NYC"}, "names": ["ann lee", "BO"]}, True),
        ({"trip": {"to": "NYC"}, "names": ["Bo", "Ann Lee"]}, False),
        ({"trip": "NYC"}, False),
    ],
)
def test_objects_are_compared_key_by_key(arguments, is_right):
    assert right([call("book", **arguments)], BOOK) is is_right


def test_calls_may_come_in_any_order_and_each_once():
    first, second = call("area", base=10, height=5), call("mean", of=[1.0, 2.0])
    assert right([second, first], AREA, MEAN)
    assert not right([first], AREA, MEAN)
    assert not right([first, first], AREA, MEAN)
    assert right([first, first], AREA, AREA)
    assert not right([first, second, second], AREA, MEAN)


def test_the_name_must_be_that_of_the_function():
    assert not right([call("Area", base=10, height=5)], AREA)
    assert not right([{"name": "area", "arguments": '{"base": 10, "hei'}], AREA)


def test_where_nothing_fits_it_is_right_not_to_call():
    assert right("I cannot do that with these functions.")
    assert right("")
    assert not right([call("area", base=10, height=5)])


@given(st.text())
def test_text_is_never_a_call(answer):
    assert not right(answer, AREA)
