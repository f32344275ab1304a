"""vLLM as it comes: an `AsyncLLM` with stock settings in a process of its own, asked directly.

Its weights, dtype, eagerness, KV memory and context window are those of the engine it is compared
with; all else is left to vLLM. Whoever starts the process leaves our CPU settings out of its environment,
and gets back which are in force once the engine runs.
Run as `python -m pinnace.bench.stock`.
"""

import asyncio
import importlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvicorn

from pinnace.bench.direct import Direct
from pinnace.bench.load import Load, Measured, load_of
from pinnace.bench.settings import settings_in_force
from pinnace.bench.worker import Worker, answer_lines
from pinnace.models.engine_process import shut_down
from pinnace.models.tokens import ChatTokenizer


@dataclass(frozen=True, slots=True)
class StockEngine:
    """What the stock engine has in common with ours."""

    folder: str
    dtype: str
    enforce_eager: bool
    kv_cache_memory_bytes: int
    max_model_len: int


class Stock:
    """A side of the bench: the parent's end. `settings` are those in force in the engine's processes."""

    name = "stock"

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.settings: Mapping[str, str] = {}

    async def start(self, engine: StockEngine) -> None:
        """Start the engine; takes as long as ours did."""
        self.settings = await self._worker.ask({"engine": asdict(engine)})

    async def run(self, load: Load) -> Measured:
        """Put `load` on the stock engine."""
        return Measured(**await self._worker.ask({"load": asdict(load)}))


class _Engine:
    """The child's end."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._engine: Any = None
        self._direct: Direct | None = None

    def answer(self, question: Any) -> object:
        """Start the engine, or put a load on it."""
        if "engine" in question:
            return self._start(StockEngine(**question["engine"]))
        assert self._direct is not None, "start the engine before loading it"
        return asdict(self._runner.run(self._direct.run(load_of(question["load"]))))

    def _start(self, stock: StockEngine) -> Mapping[str, str]:
        args: Any = importlib.import_module("vllm.engine.arg_utils").AsyncEngineArgs(
            model=stock.folder,
            dtype=stock.dtype,
            enforce_eager=stock.enforce_eager,
            kv_cache_memory_bytes=stock.kv_cache_memory_bytes,
            max_model_len=stock.max_model_len,
            disable_log_stats=True,  # as ours: its statistics would cost it time
        )
        engine: Any = importlib.import_module("vllm.v1.engine.async_llm").AsyncLLM
        self._engine = engine.from_engine_args(args)
        self._direct = Direct("stock", self._engine, ChatTokenizer(Path(stock.folder)))
        return settings_in_force()

    def stop(self) -> None:
        """Stop the engine and its processes."""
        engine, self._engine = self._engine, None
        if engine is not None:
            self._runner.run(shut_down(engine))


def main() -> None:
    """Answer lines: first the engine to start, then loads."""
    loop_factory = uvicorn.Config("", log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        engine = _Engine(runner)
        try:
            answer_lines(engine.answer)
        finally:
            engine.stop()


if __name__ == "__main__":
    main()
