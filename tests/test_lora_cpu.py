"""Our products for adapters on CPU, and the plugin that gives them to vLLM."""

import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

from pinnace.models.adapters import plugin as lora_plugin

ROOT = Path(__file__).parents[1]


def test_they_add_what_vllms_own_add_and_nothing_to_rows_without_an_adapter() -> None:
    """In a process of its own, since it imports vLLM."""
    command = [sys.executable, "-m", "pytest", "-q", "-W", "ignore", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        [*command, str(ROOT / "tests" / "vllm_lora.py")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_vllm_finds_the_plugin_by_the_entry_point_of_the_distribution() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    (found,) = declared["vllm.general_plugins"].items()
    assert EntryPoint(*found, group="vllm.general_plugins").load() is lora_plugin.register
