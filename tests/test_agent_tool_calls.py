"""Calls of tools: what arrives, what comes back, what it raises, and how it ends."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator
from tool_fixtures import Counter, Place, Unit, add, weather

from pinnace.agents import tools as tool_module
from pinnace.agents.tools import MOST_ARGUMENT_BYTES, MOST_LEFT_BEHIND, Tool, tool, tool_of
from pinnace.errors import ToolArgumentsError, ToolFailedError, ToolTimeoutError

LONG = 20.0
"""Seconds that nothing here lasts, unless something is wrong."""
asked_by: ContextVar[str] = ContextVar("asked_by", default="nobody")


@dataclass
class Point:
    x: int
    y: int


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
