"""Straight into an engine: `AsyncLLM` without anything of ours around it.

Prompts are tokenized before the clock starts, and no log-probabilities are asked for: the best that
an engine can do with the same prompts.
"""

import importlib
import itertools
import time
from typing import Any

from pinnace.bench.load import Answer, Load, Measured, drive
from pinnace.bench.prompts import chat_of
from pinnace.models.tokens import ChatTokenizer

_numbers = itertools.count()


class Direct:
    """A side of the bench: a started `AsyncLLM` with the tokenizer of its weights."""

    def __init__(self, name: str, engine: Any, tokenizer: ChatTokenizer) -> None:
        self.name = name
        self._engine = engine
        self._tokenizer = tokenizer

    async def run(self, load: Load) -> Measured:
        """Put `load` on the engine, whose prefix cache is emptied first."""
        inputs: Any = importlib.import_module("vllm.inputs")
        rendered = {p: inputs.tokens_input(self._tokenizer.render_now(chat_of(p))) for p in load.prompts}
        params = greedy(load.max_tokens)
        await forget_prefixes(self._engine)

        async def ask(prompt: str, _: int) -> Answer:
            tokens, first = 0, None
            async for output in self._engine.generate(rendered[prompt], params, f"direct-{next(_numbers)}"):
                first = first or time.perf_counter()
                tokens += len(output.outputs[0].token_ids)
            return Answer(tokens, first)

        return await drive(load, ask)


def greedy(max_tokens: int) -> Any:
    """Sampling parameters of the direct sides."""
    sampling: Any = importlib.import_module("vllm.sampling_params")
    return sampling.SamplingParams(
        max_tokens=max_tokens, temperature=0.0, output_kind=sampling.RequestOutputKind.DELTA
    )


async def forget_prefixes(engine: Any) -> None:
    """Empty the engine's prefix cache, so that no side profits from the one before it."""
    emptied = await engine.reset_prefix_cache()
    assert emptied, "the prefix cache can be emptied while no request runs"
