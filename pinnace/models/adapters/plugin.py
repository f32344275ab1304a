"""The plugin that gives vLLM our LoRA products on CPU; on any other platform vLLM's own stay.

vLLM calls `register` in each of its processes, as the entry point of `vllm.general_plugins` in
pyproject.toml says, before it loads a model. An installation may be older than its entry points, so
`give_products` gives the same to a model that is loaded already.
"""

import importlib
from typing import Any

WRAPPER = "pinnace.models.adapters.cpu_kernels.DensePunica"
_STOCK = "vllm.lora.punica_wrapper.punica_cpu"


def register() -> None:
    """Have vLLM make our products for the adapters of every model that it loads on CPU."""
    platform: Any = importlib.import_module("vllm.platforms").current_platform
    if platform.is_cpu():
        type(platform).get_punica_wrapper = classmethod(_wrapper)


def _wrapper(platform: Any) -> str:
    return WRAPPER


def give_products(runner: Any, *, is_dense: bool = True) -> None:
    """Have the adapters of a loaded model take our products, or vLLM's own.

    :param runner: vLLM's model runner on CPU, with adapters enabled.
    """
    ours: Any = importlib.import_module("pinnace.models.adapters.cpu_kernels").DensePunica
    wanted = ours if is_dense else importlib.import_module(_STOCK).PunicaWrapperCPU
    adapters = runner.lora_manager._adapter_manager
    wrappers = adapters.punica_wrapper_mapping
    for name, had in wrappers.items():
        if type(had) is not wanted:
            wrappers[name] = wanted(len(had._token_lora_indices), len(had._seq_start_locs), had.device)
            for module in adapters.modules.values():
                if module.punica_wrapper is had:
                    module.set_mapping(wrappers[name])
    adapters._last_mapping = None  # so that the next step tells them which adapters it has
