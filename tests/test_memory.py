"""Whether one more engine fits: what is free, by the machine and by the control group."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from pinnace.config import VllmMember
from pinnace.models import memory
from pinnace.models.memory import OVERHEAD_MIB, free_mib, needed_mib, slot_mib, why_no_room


def test_what_is_free_is_the_least_of_machine_and_group(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9 kB\nMemAvailable:  4194304 kB\n")
    assert free_mib(meminfo, tmp_path) == 4096
    (tmp_path / "memory.max").write_text(f"{3 * 2**30}\n")
    (tmp_path / "memory.current").write_text(f"{2**30}\n")
    assert free_mib(meminfo, tmp_path) == 2048
    (tmp_path / "memory.max").write_text("max\n")
    assert free_mib(meminfo, tmp_path) == 4096
    assert free_mib(tmp_path / "none", tmp_path) is None


def test_an_engine_takes_its_weights_its_cache_and_itself(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"x" * 3 * 2**20)
    (tmp_path / "notes.txt").write_bytes(b"x" * 2**20)
    assert needed_mib(tmp_path, 256) == 3 + 256 + OVERHEAD_MIB


def test_an_adapters_place_takes_both_factors_of_every_linear_layer(tmp_path: Path) -> None:
    weights = {
        "model.embed_tokens.weight": np.zeros((9000, 8), np.float32),
        "model.layers.0.mlp.up_proj.weight": np.zeros((3000, 1000), np.float32),
        "model.layers.0.input_layernorm.weight": np.zeros(1000, np.float32),
    }
    save_file(weights, str(tmp_path / "model.safetensors"))
    assert slot_mib(tmp_path, 512) == 4  # 512 x (3000 + 1000) numbers of 2 bytes are 3.9 MiB


async def test_an_engine_that_does_not_fit_says_how_much_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"x" * 2**20)
    member = VllmMember.model_validate({"name": "m", "backend": "vllm", "weights": [f"path:{tmp_path}"]})
    monkeypatch.setattr(memory, "_is_on_cpu", lambda: True)
    monkeypatch.setattr(memory, "free_mib", lambda: 100)
    needed = 1 + 1024 + OVERHEAD_MIB
    assert (
        await why_no_room([(member, 0)]) == f"takes about {needed} MiB beside what runs, and 100 MiB are free"
    )
    monkeypatch.setattr(memory, "free_mib", lambda: 10**6)
    assert await why_no_room([(member, 0)]) is None
    monkeypatch.setattr(memory, "free_mib", lambda: None)
    assert await why_no_room([(member, 0)]) is None
    assert await why_no_room([]) is None
