"""Tools of agent steps: what a model is told of a function, and what cannot be a tool."""

import asyncio
import json
import math
import threading
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, replace
from functools import cache
from typing import Annotated, Any, NamedTuple, NotRequired, assert_type

import pytest
from pydantic import Field
from tool_fixtures import Counter, add, weather
from typing_extensions import TypedDict

from pinnace.agents.tools import Tool, tool, tool_of
from pinnace.config import Limits
from pinnace.errors import StepError
from pinnace.models.json_schema import check_schema


def declared(source: str) -> Callable[..., object]:
    """The function that `source` declares: one that a type checker would not let stand here."""
    names: dict[str, Any] = {
        "Annotated": Annotated,
        "Field": Field,
        "threading": threading,
        "Callable": Callable,
    }
    exec(source, names)
    return names["f"]


def parameters_of(function: Callable[..., object]) -> dict[str, Any]:
    return dict(tool_of(function).parameters)


def test_a_tool_on_the_wire_is_openais() -> None:
    assert tool_of(add).to_wire() == {
        "type": "function",
        "function": {
            "name": "add",
            "description": "Add two numbers.",
            "parameters": {
                "type": "object",
                "properties": {
                    "a": {"type": "integer", "description": "the first: of two numbers"},
                    "b": {"type": "integer", "description": "the second", "default": 2},
                },
                "required": ["a"],
                "additionalProperties": False,
            },
        },
    }


def test_the_schema_says_what_annotations_and_docstring_say() -> None:
    made = tool_of(weather)
    assert made.description == "Tell the weather of a place."
    properties = made.parameters["properties"]
    assert properties["place"] == {
        "$ref": "#/$defs/Place",
        "description": "where it is asked for, with its name",
    }
    assert properties["days"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 7,
        "default": 1,
        "description": "how many",
    }
    assert properties["unit"] == {"$ref": "#/$defs/Unit", "default": "celsius"}
    assert properties["kind"] == {"type": "string", "enum": ["short", "long"], "default": "short"}
    assert properties["note"]["anyOf"] == [{"type": "string"}, {"type": "null"}]
    assert made.parameters["required"] == ["place"]
    assert made.parameters["$defs"]["Unit"] == {"type": "string", "enum": ["celsius", "kelvin"]}


def test_titles_go_but_not_a_property_of_that_name_and_every_object_is_closed() -> None:
    place = parameters_of(weather)["$defs"]["Place"]
    assert place["properties"]["title"] == {"type": "string"}
    assert "title" not in place
    assert place["additionalProperties"] is False
    assert place["description"] == "Where on the map."


def test_a_dict_stays_open_for_its_names() -> None:
    def tally(counts: dict[str, int]) -> int:
        """Count all."""
        return sum(counts.values())

    assert parameters_of(tally)["properties"]["counts"]["additionalProperties"] == {"type": "integer"}


def test_a_default_that_json_has_not_is_left_out_without_a_warning() -> None:
    nothing = object()

    def find(word: Any = nothing) -> bool:
        """Find a word."""
        return word is nothing

    made = tool_of(find)
    assert made.parameters["properties"] == {"word": {}}
    assert asyncio.run(made.call("{}")) == "true"


@pytest.mark.parametrize("function", [weather, add, Counter().up, cache(add)])
def test_the_server_takes_the_schema(function: Callable[..., object]) -> None:
    check_schema(parameters_of(function), "tools", Limits())


async def test_names_that_pydantic_keeps_for_itself_are_parameters_like_others() -> None:
    def odd(schema: int, copy: int, _hidden: int, model_config: int, field_0: int = 0) -> list[int]:
        """Take odd names."""
        return [schema, copy, _hidden, model_config, field_0]

    made = tool_of(odd)
    assert list(made.parameters["properties"]) == ["schema", "copy", "_hidden", "model_config", "field_0"]
    assert await made.call('{"schema": 1, "copy": 2, "_hidden": 3, "model_config": 4}') == "[1,2,3,4,0]"


async def test_an_alias_and_a_description_of_ones_own_win() -> None:
    def ride(
        start: Annotated[str, Field(alias="from", description="its own")], to: str = Field("B", min_length=1)
    ) -> str:
        """Ride.

        :param start: the docstring's
        :param to: where to
        """
        return f"{start}-{to}"

    made = tool_of(ride)
    assert made.parameters["properties"]["from"] == {"type": "string", "description": "its own"}
    assert made.parameters["properties"]["to"]["description"] == "where to"
    assert await made.call('{"from": "A"}') == "A-B"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def f(a: int): pass", "tool 'f': expected a docstring that begins with what it does, got none"),
        ("def f(a: int): ':param a: a number'", "tool 'f': expected a docstring"),
        ("def f(a: int): '  '", "tool 'f': expected a docstring"),
        ("def f(a): 'Do.'", "tool 'f', parameter 'a': expected an annotation, got none: write `a: str`"),
        ("def f(a, b: int = 1): 'Do.'", "tool 'f', parameter 'a': expected an annotation"),
        ("def f(*a: str): 'Do.'", "parameter 'a': expected parameters with names, got *a: take one list"),
        ("def f(**a: str): 'Do.'", "parameter 'a': expected parameters with names, got **a: take one dict"),
        ("def f(a: int, /): 'Do.'", "expected one that can be given by name: remove the `/` behind it"),
        ("def f(a: threading.Lock): 'Do.'", "parameter 'a': expected a type that JSON can carry"),
        ("def f(a: int, b: Callable[[], int]): 'Do.'", "parameter 'b': expected a type that JSON can carry"),
        ("def f(a: 3): 'Do.'", "parameter 'a': expected a type that JSON can carry, got 3"),
        ("def f(a: Annotated[str, Field(pattern='(')]): 'Do.'", "expected a type that JSON can carry"),
        (
            "def f(a: int, b: 'Nowhere'): 'Do.'",
            "parameter 'b': expected annotations that can be resolved, got",
        ),
        ("def f(a: 'threading.Nowhere'): 'Do.'", "parameter 'a': expected annotations that can be resolved"),
        ("def f(a: str = None): 'Do.'", "its default is None, its annotation str: write `str | None`"),
        (
            "def f(a: int): 'Do.\\n\\n:param b: it'",
            "expected a docstring of ['a'], its parameters, got ['b']",
        ),
        (f"def f(a: int): '{'x' * 1025}'", "expected a description of at most 1024 characters, got 1025"),
        (
            f"def f(a: int): 'Do.\\n\\n:param a: {'x' * 1025}'",
            "parameter 'a': expected a description of at most",
        ),
        ("def f(a: int):\n 'Do.'\n yield a", "expected a function that returns, got one that yields"),
        ("async def f(a: int):\n 'Do.'\n yield a", "expected a function that returns, got one that yields"),
        ("def größe(a: int): 'Do.'\nf = größe", "tool 'größe': expected a name of 1 to 64 letters, digits"),
        ("f = lambda a: a", "expected a tool to be a function with a name, got <function <lambda>"),
        (
            "from functools import partial\nf = partial(print, 1)",
            "expected a tool to be a function with a name",
        ),
        (
            "class f:\n 'Do.'",
            "expected a tool to be a function with a name, got <class",
        ),
        ("f = 'add'", "expected a tool to be a function with a name, got 'add': write it with `def`"),
        ("f = len", "tool 'len', parameter 'obj': expected one that can be given by name"),
    ],
)
def test_a_function_that_cannot_be_a_tool_is_refused_with_what_to_change(source: str, said: str) -> None:
    with pytest.raises(StepError) as caught:
        tool_of(declared(source))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize("name", ["", "a" * 65, "a-b", "1st", "a b", "a\n"])
def test_a_name_that_the_wire_does_not_take_is_refused(name: str) -> None:
    with pytest.raises(StepError, match="1 to 64 letters"):
        tool(name=name)(add)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout_s", 0),
        ("timeout_s", math.nan),
        ("timeout_s", math.inf),
        ("timeout_s", "3"),
        ("most_bytes", 0.5),
    ],
)
def test_a_bound_that_is_none_is_refused(name: str, value: Any) -> None:
    with pytest.raises(StepError, match=f"tool 'add': expected {name} above 0, got"):
        tool(**{name: value})(add)


def test_both_ways_to_decorate_are_typed() -> None:
    @tool
    def plain(a: int) -> int:
        """Take a number."""
        return a

    @tool(timeout_s=5, most_bytes=100, name="other")
    async def bounded(a: int) -> int:
        """Take a number."""
        return a

    assert_type(plain, Tool)
    assert_type(bounded, Tool)
    assert_type(tool(name="x"), Callable[[Callable[..., object]], Tool])
    assert_type(tool_of(add), Tool)
    assert (plain.name, plain.timeout_s, plain.most_bytes) == ("plain", 30.0, 16_384)
    assert (bounded.name, bounded.timeout_s, bounded.most_bytes) == ("other", 5, 100)


def test_a_tool_is_its_own_tool_and_stays_as_it_is() -> None:
    made = tool_of(add)
    assert tool_of(made) is made
    assert replace(made, timeout_s=1).timeout_s == 1
    assert made in {made}
    with pytest.raises(FrozenInstanceError):
        made.name = "other"  # type: ignore[misc]


@dataclass
class Point:
    """Where on a page."""

    field_0: int
    y: int = 0


class Span(TypedDict):
    """From one place to another."""

    begin: int
    end: NotRequired[int]


class Size(NamedTuple):
    """How large."""

    width: int
    height: int


@pytest.mark.parametrize(
    ("kind", "given", "read"),
    [
        (Point, {"field_0": 3}, Point(3)),
        (list[Point], [{"field_0": 3, "y": 4}], [Point(3, 4)]),
        (Span, {"begin": 1, "end": 2}, {"begin": 1, "end": 2}),
        (dict[str, Point] | None, {"a": {"field_0": 1}}, {"a": Point(1)}),
    ],
)
async def test_types_of_the_standard_library_keep_the_names_of_their_own_fields(
    kind: Any, given: Any, read: object
) -> None:
    found: list[object] = []

    def near(place: kind) -> None:
        """Tell what is near."""
        found.append(place)

    near.__annotations__["place"] = kind
    await tool_of(near).call(json.dumps({"place": given}))
    assert found == [read]


def test_a_tuple_with_names_is_a_list_of_its_fields() -> None:
    def fits(size: Size) -> bool:
        """Tell whether it fits."""
        return size.width < size.height

    fits.__annotations__["size"] = Size
    schema = parameters_of(fits)
    inner = schema.get("$defs", {}).get("Size") or schema["properties"]["size"]
    assert [each["type"] for each in inner["prefixItems"]] == ["integer", "integer"]
