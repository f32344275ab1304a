"""Tools of agent steps: what a model is told of a function, and what becomes of its calls."""

import asyncio
import json
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import FrozenInstanceError, dataclass, replace
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, assert_type

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field

from pinnace.agents import tools as tool_module
from pinnace.agents.tools import MOST_ARGUMENT_BYTES, MOST_LEFT_BEHIND, Tool, tool, tool_of
from pinnace.config import Limits
from pinnace.errors import StepError, ToolArgumentsError, ToolFailedError, ToolTimeoutError
from pinnace.models.json_schema import check_schema

LONG = 20.0
"""Seconds that nothing here lasts, unless something is wrong."""
asked_by: ContextVar[str] = ContextVar("asked_by", default="nobody")


class Unit(Enum):
    CELSIUS = "celsius"
    KELVIN = "kelvin"


class Place(BaseModel):
    """Where on the map."""

    title: str
    height: float = 0.0
    within: "Place | None" = None


@dataclass
class Point:
    x: int
    y: int


def weather(
    place: Place,
    days: Annotated[int, Field(ge=1, le=7)] = 1,
    unit: Unit = Unit.CELSIUS,
    kind: Literal["short", "long"] = "short",
    note: str | None = None,
) -> str:
    """Tell the weather
    of a place.

    This is for people who read the code.

    :param place: where it is asked for,
        with its name
    :param int days: how many
    :param note: what else matters
    :returns: a sentence.
    """
    return f"{place.title} {days} {unit.name} {kind} {note}"


def add(a: int, b: int = 2) -> int:
    """Add two numbers.

    Args:
        a (int, required): the first: of two
            numbers
        b: the second

    Returns:
        their sum: a number
    """
    return a + b


class Counter:
    """A place to count."""

    def __init__(self) -> None:
        self.count = 0

    def up(self, by: int = 1) -> int:
        """Count up."""
        self.count += by
        return self.count


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


def giving(make: Callable[[], object], is_async: bool, **bounds: Any) -> Tool:
    """A tool that gives, or raises, what `make` does."""

    def give() -> object:
        """Give it."""
        return make()

    async def give_later() -> object:
        """Give it."""
        return make()

    return tool(name="give", **bounds)(give_later if is_async else give)


def raising(error: BaseException) -> Callable[[], object]:
    def make() -> object:
        raise error

    return make


def parameters_of(function: Callable[..., object]) -> dict[str, Any]:
    return dict(tool_of(function).parameters)


async def failed(function: Callable[..., object] | Tool, arguments: str = "{}") -> ToolFailedError:
    with pytest.raises(ToolFailedError) as caught:
        await tool_of(function).call(arguments)
    return caught.value


async def refused(function: Callable[..., object] | Tool, arguments: str) -> str:
    with pytest.raises(ToolArgumentsError) as caught:
        await tool_of(function).call(arguments)
    return str(caught.value)


async def ended(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < until
        await asyncio.sleep(0.001)


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


async def test_arguments_arrive_as_the_types_that_were_declared() -> None:
    arguments = {"place": {"title": "Kiel", "within": {"title": "Holstein"}}, "days": 3, "unit": "kelvin"}
    assert await tool_of(weather).call(json.dumps(arguments)) == "Kiel 3 KELVIN short None"
    assert (
        await tool_of(weather).call('{"place": {"title": "Kiel"}, "note": "wind"}')
        == "Kiel 1 CELSIUS short wind"
    )


@pytest.mark.parametrize("arguments", ["", "  ", "{}"])
async def test_no_arguments_are_the_defaults(arguments: str) -> None:
    assert await tool_of(Counter().up).call(arguments) == "1"


async def test_methods_and_cached_functions_are_tools() -> None:
    counter = Counter()
    up = tool_of(counter.up)
    assert (up.name, await up.call('{"by": 2}'), counter.count) == ("up", "2", 2)
    assert await tool_of(cache(add)).call('{"a": 1}') == "3"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("{}", "tool 'weather': place: Field required"),
        ('{"place": {"title": 3}}', "place.title: Input should be a valid string"),
        ('{"place": {"title": "K"}, "days": "3"}', "days: Input should be a valid integer"),
        ('{"place": {"title": "K"}, "days": 8}', "days: Input should be less than or equal to 7"),
        ('{"place": {"title": "K"}, "unit": "C"}', "unit: Input should be 'celsius' or 'kelvin'"),
        ('{"place": {"title": "K"}, "kind": "x"}', "kind: Input should be 'short' or 'long'"),
        ('{"place": {"title": "K"}, "field_0": 1}', "field_0: Extra inputs are not permitted"),
        ("[]", "arguments: Input should be an object"),
        ('{"place"', "arguments: Invalid JSON: EOF while parsing"),
        ("[" * 5000, "Invalid JSON: recursion limit exceeded"),
        ("\ud800", "Invalid JSON"),
    ],
)
async def test_arguments_that_it_does_not_take_are_told_in_pydantics_words(arguments: str, said: str) -> None:
    assert said in await refused(weather, arguments)


async def test_numbers_that_json_has_not_are_refused() -> None:
    def half(of: float) -> float:
        """Halve a number."""
        return of / 2

    assert "of: Input should be a finite number" in await refused(half, '{"of": NaN}')
    assert "of: Input should be a finite number" in await refused(half, '{"of": 1e999}')


async def test_many_faults_are_one_bounded_line() -> None:
    arguments = json.dumps({f"{'x' * 500}\n{i}": i for i in range(60)})
    said = await refused(add, arguments)
    assert "\n" not in said
    assert len(said) < 2000
    assert said.endswith("; and 56 more")


async def test_too_many_arguments_are_not_read() -> None:
    assert "expected at most 65536 bytes, got 65537" in await refused(
        add, "é" + " " * (MOST_ARGUMENT_BYTES - 1)
    )


async def test_a_validator_that_breaks_is_the_tools_failure() -> None:
    def broken(a: Annotated[int, AfterValidator(lambda a: a.nothing)]) -> int:
        """Take a number."""
        return a

    assert "a check of its arguments raised AttributeError" in str(await failed(broken, '{"a": 1}'))


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("as it is\n", "as it is\n"),
        ("", ""),
        (None, "null"),
        ({"a": [1, 2.5], "é": True}, '{"a":[1,2.5],"é":true}'),
        (Place(title="K"), '{"title":"K","height":0.0,"within":null}'),
        (Point(1, 2), '{"x":1,"y":2}'),
        (Unit.KELVIN, '"kelvin"'),
        (float("nan"), '"NaN"'),
        ({1, 2}, "[1,2]"),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_result_is_text_or_json(result: object, text: str, is_async: bool) -> None:
    assert await giving(lambda: result, is_async).call("{}") == text


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (object, "its result, a object, is no text and no JSON (PydanticSerializationError: Unable to"),
        (lambda: "\ud800", "its result, a str, is no text and no JSON (UnicodeEncodeError"),
        (lambda: b"\xff", "its result, a bytes, is no text and no JSON"),
        (lambda: iter(int, 1), "it returned an iterator, which may have no end: return a list"),
        (lambda: asyncio.sleep(0), "it returned a coroutine: write it with `async def`"),
        (lambda: "x" * 641, "its result has 641 bytes, 640 are the most: return less"),
        (lambda: list(range(2000)), "its result has 8891 bytes, 640 are the most"),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_result_that_cannot_be_shown_is_a_failure(
    make: Callable[[], object], said: str, is_async: bool
) -> None:
    assert said in str(await failed(giving(make, is_async, most_bytes=10)))


async def test_megabytes_are_a_failure_that_names_their_size() -> None:
    assert "8000000 bytes" in str(await failed(giving(lambda: "x" * 8_000_000, is_async=False)))


async def test_a_long_result_is_cut_at_a_character() -> None:
    made = giving(lambda: "aé€𝄞z", is_async=False, most_bytes=5)
    assert await made.call("{}") == "aé\n[8 of 11 bytes left out]"
    assert await replace(made, most_bytes=11).call("{}") == "aé€𝄞z"


@given(text=st.text(min_size=1, max_size=60), most=st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_what_is_kept_and_what_is_left_out_are_the_whole(text: str, most: int) -> None:
    made = giving(lambda: text, is_async=True, most_bytes=most)
    shown, size = asyncio.run(made.call("{}")), len(text.encode())
    if size <= most:
        assert shown == text
    else:
        kept, note = shown.rsplit("\n", 1)
        assert text.startswith(kept)
        assert most - 3 <= len(kept.encode()) <= most
        assert note == f"[{size - len(kept.encode())} of {size} bytes left out]"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("no such\n  place"), "it raised ValueError: no such place"),
        (KeyError(), "it raised KeyError"),
        (StopIteration(3), "it raised"),
        (TimeoutError("its own"), "it raised TimeoutError: its own"),
        (SystemExit(2), "it raised SystemExit: 2"),
        (
            ToolFailedError("inner", "of another"),
            "tool 'give': it raised ToolFailedError: tool 'inner': of another",
        ),
        (ValueError("\udcff"), "it raised ValueError: ?"),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
async def test_what_it_raises_is_its_failure_with_the_cause(
    error: BaseException, said: str, is_async: bool
) -> None:
    caught = await failed(giving(raising(error), is_async))
    assert said in str(caught)
    assert error in (caught.__cause__, caught.__cause__ and caught.__cause__.__cause__)


async def test_a_long_message_is_cut_and_one_that_cannot_be_had_does_without() -> None:
    class Mute(Exception):  # noqa: N818
        def __str__(self) -> str:
            raise RuntimeError

    assert len(str(await failed(giving(raising(ValueError("x" * 5_000_000)), is_async=False)))) < 400
    assert str(await failed(giving(raising(Mute()), is_async=False))) == "tool 'give': it raised Mute"


async def test_a_sync_tool_runs_in_a_daemon_thread_that_sees_the_context() -> None:
    def where() -> list[object]:
        """Tell where it runs."""
        thread = threading.current_thread()
        return [asked_by.get(), thread.daemon, thread is threading.main_thread()]

    asked_by.set("a test")
    assert await tool_of(where).call("{}") == '["a test",true,false]'


async def test_two_sync_tools_run_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=LONG)

    def meet() -> int:
        """Wait for the other."""
        return both.wait()

    assert sorted(await asyncio.gather(tool_of(meet).call("{}"), tool_of(meet).call("{}"))) == ["0", "1"]


async def test_a_coroutine_runs_in_the_loop_and_sees_the_context() -> None:
    async def where() -> str:
        """Tell where it runs."""
        assert threading.current_thread() is threading.main_thread()
        return asked_by.get()

    asked_by.set("another test")
    assert await tool_of(where).call("{}") == "another test"


async def test_a_coroutine_that_hangs_is_cancelled() -> None:
    seen: list[str] = []

    @tool(timeout_s=0.01)
    async def hang() -> str:
        """Hang."""
        try:
            await asyncio.sleep(LONG)
        finally:
            seen.append("cleaned up")
        return ""

    with pytest.raises(
        ToolTimeoutError, match=r"tool 'hang': it took longer than 0\.01 s, and was cancelled"
    ):
        await hang.call("{}")
    assert seen == ["cleaned up"]


async def test_a_coroutine_that_will_not_be_cancelled_is_left_to_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tool_module, "GRACE_S", 0.01)
    over = asyncio.Event()

    @tool(timeout_s=0.01)
    async def stubborn() -> str:
        """Go on."""
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError:
                continue
        raise ValueError("nobody hears this")

    with pytest.raises(ToolTimeoutError):
        await stubborn.call("{}")
    over.set()
    await ended(lambda: not tool_module._tasks)


async def test_cancelling_a_call_cancels_its_coroutine() -> None:
    begun, seen = asyncio.Event(), list[str]()

    async def hang() -> None:
        """Hang."""
        begun.set()
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    call = asyncio.create_task(tool_of(hang).call("{}"))
    await begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert seen == ["cancelled"]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_tool_that_cancels_itself_fails_and_does_not_cancel_its_caller(is_async: bool) -> None:
    assert "ancelled" in str(await failed(giving(raising(asyncio.CancelledError()), is_async)))


async def test_threads_that_hang_are_left_behind_and_only_so_many_may_be() -> None:
    over = threading.Event()

    @tool(timeout_s=0.05)
    def hang() -> None:
        """Hang."""
        over.wait(LONG)

    calls = [asyncio.create_task(hang.call("{}")) for _ in range(MOST_LEFT_BEHIND)]
    await asyncio.sleep(0.01)
    calls[0].cancel()
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(errors[0], asyncio.CancelledError)
    assert all(isinstance(error, ToolTimeoutError) for error in errors[1:])
    assert "32 threads of calls that outstayed their time still run" in str(await failed(add, '{"a": 1}'))
    assert await giving(lambda: "fine", is_async=True).call("{}") == "fine"
    over.set()
    await ended(lambda: tool_module._count_left_behind() == 0)
    assert await tool_of(add).call('{"a": 1}') == "3"


def test_a_hung_thread_does_not_hold_up_the_end_of_the_process() -> None:
    program = (
        "import asyncio, time\n"
        "from pinnace.agents.tools import tool\n"
        "@tool(timeout_s=0.01)\n"
        "def hang() -> None:\n"
        "    '''Hang.'''\n"
        "    time.sleep(600)\n"
        "asyncio.run(hang.call('{}'))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 1
    assert ran.stderr.endswith(
        "ToolTimeoutError: tool 'hang': it took longer than 0.01 s; its thread runs on\n"
    )


async def test_a_thread_that_ends_after_its_loop_says_nothing() -> None:
    over, out = threading.Event(), threading.Event()

    @tool(timeout_s=0.01)
    def late() -> None:
        """Come late."""
        over.wait(LONG)
        out.set()

    def in_a_loop_of_its_own() -> None:
        with pytest.raises(ToolTimeoutError):
            asyncio.run(late.call("{}"))

    await asyncio.to_thread(in_a_loop_of_its_own)
    over.set()
    assert out.wait(LONG)
    await ended(lambda: tool_module._count_left_behind() == 0)
