"""The adapters that one engine answers with: a number for each, and who still needs it.

A number belongs to the content of an adapter, never to a name: a replaced adapter is a new one beside the
old, which goes after its last request. Knows neither files nor the fleet.
"""

import importlib
import itertools
import logging
from pathlib import Path
from typing import Any

from pinnace.errors import BackendError, BackendUnavailableError

log = logging.getLogger(__name__)


class EngineAdapters:
    """At most `slots` adapters answer in one step; those beyond wait for each other.

    :param slots: 0 where the engine is started without adapters.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._numbers = itertools.count(1)
        self._found: dict[str, int] = {}
        self._folders: dict[int, tuple[str, Path]] = {}
        self._holders: dict[int, int] = {}

    def hold(self, digest: str, folder: Path) -> int:
        """The number of the adapter with that content, which somebody more needs from now on."""
        number = self._found.get(digest)
        if number is None:
            number = self._found[digest] = next(self._numbers)
            self._folders[number] = (digest, folder)
        self._holders[number] = self._holders.get(number, 0) + 1
        return number

    def release(self, number: int) -> bool:
        """One less needs it; whether it was the last."""
        self._holders[number] -= 1
        if self._holders[number]:
            return False
        del self._holders[number]
        digest, _ = self._folders.pop(number)
        del self._found[digest]
        return True

    def request(self, number: int) -> Any:
        """vLLM's name for the adapter of that number; None for 0, which is the base.

        It is called by its content, since vLLM tells cached prompts apart by that name.

        :raises BackendUnavailableError: when nobody holds it any more.
        """
        if not number:
            return None
        if number not in self._folders:
            raise BackendUnavailableError(f"the engine has no adapter {number} any more")
        digest, folder = self._folders[number]
        return importlib.import_module("vllm.lora.request").LoRARequest(digest, number, str(folder))

    async def load(self, engine: Any, number: int) -> None:
        """Have a running engine read the adapter now, rather than with its first request.

        :raises BackendError: when vLLM does not take it.
        """
        try:
            await engine.add_lora(self.request(number))
        except Exception as error:  # whatever vLLM's loader raises: this adapter cannot serve
            raise BackendError(f"vLLM does not take the adapter: {error}") from error

    async def unload(self, engine: Any, number: int) -> None:
        """Have a running engine forget the adapter; one that cannot answer has forgotten it already."""
        try:
            await engine.remove_lora(number)
        except Exception as error:  # it is gone, or going: nothing of the adapter is left to keep
            log.info("adapter %d was not unloaded: %s", number, error)


def engine_options(slots: int, max_rank: int) -> dict[str, Any]:
    """What vLLM's `AsyncEngineArgs` is told of adapters: nothing where there are none."""
    if not slots:
        return {}
    return {
        "enable_lora": True,
        "max_loras": slots,
        "max_lora_rank": max_rank,
        "max_cpu_loras": 2 * slots,  # while one replaces another, both are there
    }
