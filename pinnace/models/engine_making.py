"""How a vLLM engine is made: what `AsyncLLM` is told, by what `router.yaml` and this machine say.

Eager on CPU unless `engine.compiled` says otherwise: compiling makes the start longer, and which of the two
is right in a near-tie is chance (docs/log.md). Knows nothing of requests.
"""

import importlib
import os
import warnings
from pathlib import Path
from typing import Any

from pinnace.config import VllmMember
from pinnace.models.adapters.engine import engine_options
from pinnace.models.cpu_settings import cpu_settings, executor, in_environment
from pinnace.models.engine_process import EXTENSION as PROCESS_EXTENSION
from pinnace.models.engine_tuning import EXTENSION

STRUCTURED_BY = "guidance"
"""Who holds answers to grammars: it refuses what it does not know, where xgrammar lets it pass."""

CPU_BLOCK = 32
"""Tokens of a block of the KV cache on CPU, the fewest that vLLM's kernels take there.

Only whole blocks are found again by another prompt: with vLLM's own 128, what most requests have in common,
a system turn or a step's instructions and schema, would be computed anew for each (docs/log.md).
"""


def make_engine(member: VllmMember, folder: Path, slots: int = 0) -> Any:
    """Start an `AsyncLLM` on the weights in `folder`, with the settings that suit this machine.

    :param slots: how many adapters it is to hold.
    """
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")  # the rest of what it says is for its developers
    os.environ.setdefault("PYTHONWARNINGS", "ignore")  # for the engine's processes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # vLLM and what it imports deprecate each other's names
        return _make_engine(member, folder, slots)


def _make_engine(member: VllmMember, folder: Path, slots: int) -> Any:
    platforms: Any = importlib.import_module("vllm.platforms")
    is_cpu = bool(platforms.current_platform.is_cpu())
    compiled = member.engine.compiled if member.engine.compiled is not None else not is_cpu
    args: Any = importlib.import_module("vllm.engine.arg_utils").AsyncEngineArgs(
        model=str(folder),
        dtype=member.engine.dtype,
        enforce_eager=not compiled,
        kv_cache_memory_bytes=member.engine.kv_cache_mib * 2**20,
        max_model_len=member.context_window,
        max_num_seqs=member.engine.max_sequences,
        block_size=CPU_BLOCK if is_cpu else None,
        scheduling_policy="priority",
        generation_config="vllm",
        structured_outputs_config={"backend": STRUCTURED_BY},
        worker_extension_cls=EXTENSION if is_cpu else PROCESS_EXTENSION,
        distributed_executor_backend=executor(os.environ) if is_cpu else None,
        trust_remote_code=False,
        disable_log_stats=True,
        use_tqdm_on_load=False,
        **engine_options(slots, member.engine.max_lora_rank),
    )
    engine: Any = importlib.import_module("vllm.v1.engine.async_llm").AsyncLLM
    with in_environment(cpu_settings(os.environ) if is_cpu else {}):
        return engine.from_engine_args(args)
