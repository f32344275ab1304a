"""Starts the default model in an engine that is wrong on purpose, and prints what came of it.

`rope`: the right weights, but the rotary embedding turns at another pace, so the text is wrong.
`compiled`: vLLM's compiled bf16 path on CPU, which docs/log.md says more of.
Run: python tests/wrong_engine.py rope|compiled
"""

import asyncio
import importlib
import sys
from pathlib import Path

from pinnace.config import Engine, VllmMember, load_config
from pinnace.errors import SelfTestError
from pinnace.models.vllm_backend import VllmBackend

ROUTER_YAML = Path(__file__).parent.parent / "router.yaml"


def main(fault: str) -> None:
    if fault == "rope":
        arguments = importlib.import_module("vllm.engine.arg_utils")
        make = arguments.AsyncEngineArgs
        wrong = {"rope_parameters": {"rope_type": "default", "rope_theta": 100.0}}
        arguments.AsyncEngineArgs = lambda **given: make(**given, hf_overrides=wrong)
    member = load_config(ROUTER_YAML, {}).fleet[0]
    assert isinstance(member, VllmMember)
    engine = Engine(kv_cache_mib=256, compiled=fault == "compiled")
    asyncio.run(start(VllmBackend(member.model_copy(update={"engine": engine}))))


async def start(backend: VllmBackend) -> None:
    try:
        await backend.start()
    except SelfTestError as error:
        print(f"refused: {error}")
    else:
        print("serves")
        await backend.drain()


if __name__ == "__main__":
    main(sys.argv[1])
