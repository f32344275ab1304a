"""A function that a model may call: its arguments checked, its time, its result and its errors bounded.

Coroutine functions run in the event loop, others each in a thread of their own. A thread that outstays its
time cannot be ended: it is left behind, and only so many may be. Knows nothing of models, steps or traces.
"""

import asyncio
import inspect
import math
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias, cast, overload

from pydantic import ValidationError
from pydantic_core import ErrorDetails, to_json

from pinnace.agents.tool_schema import schema_of
from pinnace.errors import StepError, ToolArgumentsError, ToolFailedError, ToolTimeoutError
from pinnace.models.short_line import error_line, short_line

TIMEOUT_S = 30.0
MOST_BYTES = 16_384
MOST_ARGUMENT_BYTES = 65_536
TOO_MUCH = 64
"""A result of more than so many times `most_bytes` is not cut but refused."""
MOST_LEFT_BEHIND = 32
GRACE_S = 1.0
"""How long a cancelled coroutine may clean up before it is left to itself."""
_MOST_FAULTS = 5

_Ended: TypeAlias = "asyncio.Future[str | BaseException]"
"""What a thread's call came to."""
_tasks: set[asyncio.Task[str]] = set()
"""The calls in event loops, which themselves hold them weakly."""


@dataclass(frozen=True, slots=True, eq=False)
class Tool:
    """A function that a model may call.

    :param parameters: the JSON schema of its arguments, an object's.
    :param timeout_s: what one call may take, in seconds.
    :param most_bytes: what of a result is kept, in bytes of UTF-8; the note on what was cut comes on top.
    :raises StepError: when a bound is none.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    timeout_s: float = TIMEOUT_S
    most_bytes: int = MOST_BYTES
    _run: Callable[..., object] = field(kw_only=True, repr=False)
    _parse: Callable[[str], dict[str, Any]] = field(kw_only=True, repr=False)

    def __post_init__(self) -> None:
        for name, kind in (("timeout_s", (int, float)), ("most_bytes", int)):
            value: Any = getattr(self, name)
            if not (isinstance(value, kind) and 0 < value < math.inf):
                raise StepError(f"tool {self.name!r}: expected {name} above 0, got {value!r:.80}")

    def to_wire(self) -> Mapping[str, Any]:
        """The tool in OpenAI's fields."""
        told = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": told}

    async def call(self, arguments: str) -> str:
        """What the function returns for `arguments` (JSON; blank text is `{}`), as text.

        A coroutine that will not be cancelled holds a call up for `GRACE_S` beyond its time, and no longer.

        :raises ToolArgumentsError: when the arguments are not what it takes; says what is wrong with each.
        :raises ToolTimeoutError: when it takes longer than `timeout_s`.
        :raises ToolFailedError: when it raises, when its result is too large or no JSON, or when too many
            threads of earlier calls still run.
        """
        given = self._read(arguments)
        is_async = inspect.iscoroutinefunction(self._run)
        return await (self._in_loop(given) if is_async else self._in_thread(given))

    def _read(self, arguments: str) -> dict[str, Any]:
        size = len(arguments.encode("utf-8", "surrogatepass"))
        if size > MOST_ARGUMENT_BYTES:
            raise ToolArgumentsError(self.name, f"expected at most {MOST_ARGUMENT_BYTES} bytes, got {size}")
        try:
            return self._parse(arguments if arguments.strip() else "{}")
        except ToolArgumentsError:
            raise
        except ValidationError as error:
            raise ToolArgumentsError(self.name, _faults(error)) from error
        except Exception as error:
            raise self._failed(f"a check of its arguments raised {error_line(error)}") from error

    async def _in_loop(self, given: Mapping[str, Any]) -> str:
        task = asyncio.get_running_loop().create_task(self._awaited(given))
        _tasks.add(task)
        task.add_done_callback(_forget)
        try:
            done, _ = await asyncio.wait({task}, timeout=self.timeout_s)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=GRACE_S)
        if not done:
            raise ToolTimeoutError(self.name, f"it took longer than {self.timeout_s:g} s, and was cancelled")
        if task.cancelled():
            raise self._failed("it was cancelled from within")
        return task.result()

    async def _awaited(self, given: Mapping[str, Any]) -> str:
        try:
            result = await cast(Awaitable[object], self._run(**given))
        except (Exception, SystemExit) as error:
            raise self._failed(f"it raised {error_line(error)}") from error
        return self._text(result)

    async def _in_thread(self, given: Mapping[str, Any]) -> str:
        if (left := _count_left_behind()) >= MOST_LEFT_BEHIND:
            told = f"{left} threads of calls that outstayed their time still run, as many as may"
            raise self._failed(f"{told}: give what they wait for a timeout of its own")
        ended: _Ended = asyncio.get_running_loop().create_future()
        thread = self._start(given, ended)
        try:
            done, _ = await asyncio.wait({ended}, timeout=self.timeout_s)
        finally:
            thread.is_left_behind = not ended.done()
        if not done:
            raise ToolTimeoutError(self.name, f"it took longer than {self.timeout_s:g} s; its thread runs on")
        outcome = ended.result()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _start(self, given: Mapping[str, Any], ended: _Ended) -> "_Worker":
        run = partial(copy_context().run, self._end, given, ended)
        try:
            (thread := _Worker(target=run, name=f"pinnace-tool-{self.name}", daemon=True)).start()
        except RuntimeError as error:
            raise self._failed(f"no thread could be had for it ({error_line(error)})") from error
        return thread

    def _end(self, given: Mapping[str, Any], ended: _Ended) -> None:
        try:
            outcome = self._returned(given)
        except BaseException as error:
            outcome = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            ended.get_loop().call_soon_threadsafe(ended.set_result, outcome)

    def _returned(self, given: Mapping[str, Any]) -> str:
        try:
            result = self._run(**given)
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            raise self._failed(f"it raised {error_line(error)}") from error
        return self._text(result)

    def _failed(self, told: str) -> ToolFailedError:
        return ToolFailedError(self.name, told)

    def _text(self, result: object) -> str:
        if inspect.iscoroutine(result):
            result.close()
            raise self._failed("it returned a coroutine: write it with `async def`, to have it awaited")
        if isinstance(result, Iterator):
            raise self._failed("it returned an iterator, which may have no end: return a list")
        try:
            full = result.encode() if isinstance(result, str) else to_json(result, inf_nan_mode="strings")
        except Exception as error:
            told = f"its result, a {type(result).__name__}, is no text and no JSON ({error_line(error)})"
            raise self._failed(f"{told}: return str, or what pydantic can write") from error
        return self._cut(full)

    def _cut(self, full: bytes) -> str:
        most = TOO_MUCH * self.most_bytes
        if len(full) > most:
            raise self._failed(f"its result has {len(full)} bytes, {most} are the most: return less")
        if len(full) <= self.most_bytes:
            return full.decode()
        kept = full[: self.most_bytes].decode(errors="ignore")
        left_out = len(full) - len(kept.encode())
        return f"{kept}\n[{left_out} of {len(full)} bytes left out]"


@overload
def tool(function: Callable[..., object], /) -> Tool: ...
@overload
def tool(
    *, timeout_s: float = TIMEOUT_S, most_bytes: int = MOST_BYTES, name: str | None = None
) -> Callable[[Callable[..., object]], Tool]: ...
def tool(
    function: Callable[..., object] | None = None,
    /,
    *,
    timeout_s: float = TIMEOUT_S,
    most_bytes: int = MOST_BYTES,
    name: str | None = None,
) -> Tool | Callable[[Callable[..., object]], Tool]:
    """Make a tool of the function below it: `@tool`, or `@tool(timeout_s=5)`.

    :param name: what the model knows it by, in place of the function's own name.
    :raises StepError: when the function cannot be a tool as it stands; says what to change.
    """

    def made(function: Callable[..., object]) -> Tool:
        schema = schema_of(function, name)
        told = (schema.name, schema.description, schema.parameters)
        return Tool(*told, timeout_s=timeout_s, most_bytes=most_bytes, _run=function, _parse=schema.read)

    return made if function is None else made(function)


def tool_of(function: Callable[..., object] | Tool) -> Tool:
    """`function` as a tool; one that is a tool already is itself.

    :raises StepError: when the function cannot be a tool as it stands; says what to change.
    """
    return function if isinstance(function, Tool) else tool(function)


def _faults(error: ValidationError) -> str:
    told = [_fault(each) for each in error.errors(include_url=False, include_context=False)]
    more = f"; and {len(told) - _MOST_FAULTS} more" if len(told) > _MOST_FAULTS else ""
    return "; ".join(told[:_MOST_FAULTS]) + more


def _fault(fault: ErrorDetails) -> str:
    return short_line(f"{'.'.join(map(str, fault['loc'])) or 'arguments'}: {fault['msg']}")


def _forget(task: asyncio.Task[str]) -> None:
    _tasks.discard(task)
    if not task.cancelled():
        task.exception()  # so that asyncio does not log it of a call that is over


class _Worker(threading.Thread):
    """Runs one call; a daemon, so that one that hangs does not hold up the end of the process."""

    is_left_behind = False


def _count_left_behind() -> int:
    return sum(isinstance(thread, _Worker) and thread.is_left_behind for thread in threading.enumerate())
