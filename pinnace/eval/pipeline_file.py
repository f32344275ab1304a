"""A pipeline in somebody's own file, named as `FILE.py:NAME`: imported, made for a variant's words, and run.

`NAME` is an `async def` of a session and a prompt, or a plain function that makes one: it gets a variant's
words as keyword arguments, all of them texts. Importing runs the file, with its folder on the path, as Python
itself would. It is their code: what it raises is told, and is no fault of ours. Knows nothing of sessions.
"""

import asyncio
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from pinnace.errors import (
    AgentError,
    ConfigError,
    ContextTooLongError,
    NoCapableModelError,
    PinnaceError,
    StepError,
)
from pinnace.models.short_line import error_line, first_error

EXPECTED = "an 'async def' of (run, prompt), or a plain function that returns one"
NO_ANSWER = (AgentError, ContextTooLongError, NoCapableModelError)
"""What a pipeline comes to where it fails by itself."""
MOST_RAISED = 10
"""Runs that may raise something of their own before the first that does not."""


@dataclass(frozen=True, slots=True)
class PipelineFile:
    """What `name` is in the file at `path`; `digest` is a hash of the file, not of what it imports."""

    path: Path
    name: str
    digest: str
    found: Callable[..., Any]

    def __str__(self) -> str:
        return f"{self.path.name}:{self.name}"

    def made_with(self, words: Mapping[str, str]) -> "Made":
        """The pipeline of a variant.

        :raises ConfigError: when it takes no such words, or what is made is no pipeline.
        """
        if _is_pipeline(self.found):
            if words:
                raise ConfigError(f"{self}: takes no words, got {_told(words)}: let a plain function make it")
            return Made(self, self.found)
        if (complaint := _complaint(self.found, **words)) is not None:
            raise ConfigError(f"{self}: cannot be made with {_told(words)}: {complaint}")
        try:
            made: Any = self.found(**words)
        except Exception as error:
            raise ConfigError(f"{self}: made with {_told(words)}: {self.fault(error)}") from error
        if not callable(made) or not _is_pipeline(made):
            raise ConfigError(f"{self}: expected {EXPECTED}; it returned {made!r:.80}")
        return Made(self, cast("Callable[..., Awaitable[object]]", made))

    def fault(self, error: BaseException) -> str:
        """What went wrong in one line, and on which line of the file."""
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(self.path)]
        where = f" (line {frames[-1].lineno})" if frames else ""
        return f"{error_line(error)}{where}"


class Made:
    """A pipeline that was made from `file`, and how its runs went."""

    def __init__(self, file: PipelineFile, call: Callable[..., Awaitable[object]]) -> None:
        self.file = file
        self._call = call
        self._has_answered = False
        self._raised = 0

    async def say(self, session: object, prompt: str) -> tuple[str, str | None]:
        """What it says; or no text, and why it came to none.

        :raises BackendError: when the fleet could not serve it.
        :raises RequestError: when the fleet refused it for another reason than that it cannot do it.
        :raises StepError: when it cannot be as it is written: a step is wrong, it returns no text, or its
            first `MOST_RAISED` runs all raise something of their own.
        """
        try:
            said = await self._call(session, prompt)
        except Exception as error:
            return "", self._fault(first_error(error))
        except asyncio.CancelledError as error:  # of something that it awaits, unless it is cancelled itself
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return "", self._fault(error)
        if not isinstance(said, str):
            raise StepError(f"{self.file}: expected it to return text, got {said!r:.80}")
        self._has_answered = True
        return said.encode(errors="replace").decode(), None

    def _fault(self, error: BaseException) -> str:
        told = self.file.fault(error)
        if isinstance(error, PinnaceError):
            if isinstance(error, StepError) or not isinstance(error, NO_ANSWER):
                raise error
            return told
        self._raised += 1
        if self._raised == MOST_RAISED and not self._has_answered:
            raise StepError(f"{self.file}: no answer in {MOST_RAISED} runs; the last: {told}") from error
        return told


def read_pipeline(target: str) -> PipelineFile:
    """Import the file of `FILE.py:NAME`, and find the name.

    :raises ConfigError: when there is no such file or name, it cannot be imported, or it is no pipeline.
    """
    file, colon, name = target.rpartition(":")
    path = Path(file).resolve()
    if not colon or path.suffix != ".py" or not name.isidentifier():
        raise ConfigError(f"expected a pipeline as FILE.py:NAME, got {target!r}")
    if not path.is_file():
        raise ConfigError(f"{file}: no such file")
    digest = sha256(path.read_bytes()).hexdigest()
    found = getattr(_imported(path), name, None)
    if not callable(found) or (_is_async(found) and not _is_pipeline(found)):
        raise ConfigError(f"{file}: expected {name!r} to be {EXPECTED}; got {found!r:.80}")
    return PipelineFile(path, name, digest, found)


def _imported(path: Path) -> ModuleType:
    name = f"pipeline_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, path
    assert spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # types in it are looked up by their module's name
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ConfigError(f"{path}: cannot be imported: {error_line(error)}") from error
    return module


def _is_async(found: object) -> bool:
    """Whether calling it gives something to await: it, or the `__call__` of its type, is an `async def`."""
    call = None if inspect.isclass(found) else inspect.getattr_static(type(found), "__call__", None)
    return inspect.iscoroutinefunction(found) or inspect.iscoroutinefunction(call)


def _is_pipeline(found: Callable[..., Any]) -> bool:
    """Whether it can be awaited with a session and a prompt."""
    return _is_async(found) and _complaint(found, None, "") is None


def _complaint(found: Callable[..., Any], *given: object, **words: object) -> str | None:
    """Why it cannot be called with these arguments; None where it can."""
    try:
        inspect.signature(found).bind(*given, **words)
    except (TypeError, ValueError) as error:
        return str(error)
    return None


def _told(words: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in words.items()) or "no words"
