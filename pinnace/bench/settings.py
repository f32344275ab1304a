"""The CPU settings that an engine really runs with: read from the kernel, not from what was meant."""

import importlib
from collections.abc import Mapping
from typing import Any

from pinnace.models.cpu_settings import BIND, PRELOAD, SETTINGS


def without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` without the settings that Pinnace makes, whoever made them."""
    return {name: value for name, value in environ.items() if name not in SETTINGS}


def settings_in_force() -> dict[str, str]:
    """The settings in the environments that the descendants of this process were started with."""
    psutil: Any = importlib.import_module("psutil")
    family: list[Mapping[str, str]] = [p.environ() for p in psutil.Process().children(recursive=True)]
    return {name: found[name] for found in family for name in SETTINGS if name in found}


def is_stock(stock: Mapping[str, str], ours: Mapping[str, str]) -> bool:
    """Whether nothing of `ours` is in force there; what vLLM sets by itself is its own."""
    return BIND not in stock and (PRELOAD not in ours or stock.get(PRELOAD) != ours[PRELOAD])
