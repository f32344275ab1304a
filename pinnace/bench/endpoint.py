"""Through the endpoint: the same engine, behind all that Pinnace does for a request, over real HTTP."""

from dataclasses import asdict, replace
from typing import Any

from pinnace.bench.client import Target
from pinnace.bench.direct import forget_prefixes
from pinnace.bench.load import Load, Measured, cpu_seconds
from pinnace.bench.worker import Worker


class Endpoint:
    """A side of the bench: an endpoint of this process, asked by the load client in another.

    `engine` is the one behind it. The CPU time of its runs is this process's, as for the direct side.
    """

    def __init__(self, name: str, client: Worker, target: Target, engine: Any) -> None:
        self.name = name
        self._client = client
        self._target = target
        self._engine = engine

    async def run(self, load: Load) -> Measured:
        """Put `load` on the endpoint; its engine's prefix cache is emptied first."""
        await forget_prefixes(self._engine)
        cpu = cpu_seconds()
        found = await self._client.ask({"target": asdict(self._target), "load": asdict(load)})
        return replace(Measured(**found), cpu_s=cpu_seconds() - cpu, client_cpu_s=found["cpu_s"])
