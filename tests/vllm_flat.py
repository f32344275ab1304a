"""Takes SmolLM2 through vLLM with its own decoder, with the flat one, and with a flat one that is made wrong.

A process of its own, since it imports vLLM and runs an engine in it. Run: python tests/vllm_flat.py
"""

import os
import sys
from pathlib import Path
from typing import Any

from pinnace.models.cpu_settings import IN_ENGINE_PROCESS

QUESTIONS = (
    "Write a long story about a lighthouse keeper on a foggy island.",
    "The capital of France is",
    "List the colours of the rainbow:",
)
FREE = {"temperature": 0, "max_tokens": 24, "ignore_eos": True}


def answers(engine: Any, params: Any) -> list[list[int]]:
    """The tokens of every question: alone, then all at once."""
    alone = [engine.generate([question], params, use_tqdm=False)[0] for question in QUESTIONS]
    together = engine.generate(list(QUESTIONS), params, use_tqdm=False)
    return [list(found.outputs[0].token_ids) for found in (*alone, *together)]


def main(folder: Path) -> None:
    """Print whether all three are the same, and which decoders were believed."""
    from vllm import LLM, SamplingParams

    from pinnace.models.flat_decoder import FlatDecoder
    from pinnace.models.steady_products import steady_layers

    engine: Any = LLM(
        model=str(folder),
        dtype="bfloat16",
        enforce_eager=True,
        kv_cache_memory_bytes=2**28,
        max_model_len=512,
        enable_prefix_caching=False,
        distributed_executor_backend=IN_ENGINE_PROCESS,
        generation_config="vllm",
        disable_log_stats=True,
        use_tqdm_on_load=False,
    )
    runner: Any = engine.llm_engine.engine_core.engine_core.model_executor.driver_worker.worker.model_runner
    model: Any = runner.model.model
    params = SamplingParams(**FREE)
    steady_layers(runner.model)
    own = answers(engine, params)
    right, wrong = FlatDecoder(runner), FlatDecoder(runner)
    model.forward = right
    is_same = answers(engine, params) == own
    print(f"flat: {is_same}, {not right.differs}, sizes {{1, 3}} {right.believed >= {1, 3}}")
    first = wrong._layers[0]  # pyright: ignore[reportPrivateUsage]
    wrong._layers[0] = first._replace(before_mlp=first.before_mlp * 1.01)  # pyright: ignore[reportPrivateUsage]
    wrong._own = right._own  # pyright: ignore[reportPrivateUsage]
    model.forward = wrong
    is_same = answers(engine, params) == own
    print(f"wrong: {is_same}, {not wrong.differs}, {sorted(wrong.believed)}")


if __name__ == "__main__":
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    main(Path(sys.argv[1]))
