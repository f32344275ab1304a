"""What is refused before it reaches an engine, and how an adapter comes into the cache."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapter_fixtures import TINY, adapter_config, adapter_tensors, tiny_base, write_adapter

from pinnace.errors import WeightsError
from pinnace.models.adapters import check as adapter_check
from pinnace.models.adapters.check import check_adapter
from pinnace.models.adapters.intake import take_in

FIRST = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
Tensors = dict[str, Any]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The weights of a tiny model."""
    return tiny_base(tmp_path / "base")


def tensors(rank: int = 4) -> Tensors:
    return adapter_tensors(TINY, seed=0, rank=rank)


def refusal(folder: Path, base: Path, max_rank: int = 16) -> str:
    with pytest.raises(WeightsError) as caught:
        check_adapter(folder, base, max_rank)
    return str(caught.value)


def test_an_adapter_of_peft_is_taken_and_its_rank_told(tmp_path: Path, base: Path) -> None:
    assert check_adapter(write_adapter(tmp_path / "a", tensors(), adapter_config(4)), base, 16) == 4


def test_a_folder_must_hold_both_files_and_no_pickle_in_their_place(tmp_path: Path, base: Path) -> None:
    folder = tmp_path / "a"
    assert refusal(folder, base) == f"no folder at {folder}"
    write_adapter(folder, tensors())
    (folder / "adapter_config.json").unlink()
    assert "got no adapter_config.json" in refusal(folder, base)
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    assert "got adapter_model.bin, a pickle, which is never loaded" in refusal(folder, base)


def test_a_file_that_is_too_large_is_refused_unread(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_adapter(tmp_path / "a", tensors())
    size = (folder / "adapter_model.safetensors").stat().st_size
    monkeypatch.setattr(adapter_check, "MOST_BYTES", size - 1)
    assert f"expected at most {size - 1} bytes, got {size}" in refusal(folder, base)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"r": 32}, "r: expected a rank of at most 16 (engine.max_lora_rank of the base), got 32"),
        ({"r": 0}, "r: expected a rank of at least 1, got 0"),
        ({"r": True}, "r: expected a rank of at least 1, got True"),
        ({"lora_alpha": 1e9}, "lora_alpha: expected a number up to 1024 times r, got 1000000000.0"),
        ({"lora_alpha": None}, "lora_alpha: expected a number up to 1024 times r, got None"),
        ({"peft_type": "LOHA"}, "expected the configuration of a LoRA adapter"),
    ],
)
def test_a_wrong_configuration_is_told(tmp_path: Path, base: Path, change: dict[str, Any], told: str) -> None:
    folder = write_adapter(tmp_path / "a", tensors(), {**adapter_config(4), **change})
    assert told in refusal(folder, base)


def test_a_configuration_that_is_no_json_is_told(tmp_path: Path, base: Path) -> None:
    folder = write_adapter(tmp_path / "a", tensors())
    (folder / "adapter_config.json").write_text("{")
    assert refusal(folder, base).endswith("adapter_config.json: expected JSON")
    (folder / "adapter_config.json").write_text("[1]")
    assert "expected the configuration of a LoRA adapter" in refusal(folder, base)


def of_another_base(found: Tensors) -> None:
    found[FIRST] = np.zeros((4, 24), np.float32)


def of_an_unknown_layer(found: Tensors) -> None:
    found["base_model.model.model.layers.7.mlp.up_proj.lora_A.weight"] = np.zeros((4, 16), np.float32)


def of_embeddings(found: Tensors) -> None:
    found["base_model.model.model.embed_tokens.lora_embedding_A"] = np.zeros((4, 16), np.float32)


def of_two_ranks(found: Tensors) -> None:
    found[FIRST] = found[FIRST][:2]


def of_one_half(found: Tensors) -> None:
    del found[FIRST]


def of_nothing(found: Tensors) -> None:
    found.clear()


def of_whole_numbers(found: Tensors) -> None:
    found[FIRST] = np.zeros((4, 16), np.int8)


def of_no_number(found: Tensors) -> None:
    found[FIRST][1, 2] = np.nan


def of_infinite(found: Tensors) -> None:
    found[FIRST] = found[FIRST].astype(np.float16)
    found[FIRST][0, 0] = -np.inf


def of_huge(found: Tensors) -> None:
    found[FIRST][3, 15] = -65536


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (of_another_base, "q_proj.lora_A.weight: the base needs (r, 16), got (4, 24)"),
        (of_an_unknown_layer, "the base has no linear layer 'model.layers.7.mlp.up_proj'"),
        (of_embeddings, "expected lora_A and lora_B of linear layers only"),
        (of_two_ranks, "model.layers.0.self_attn.q_proj: expected lora_A and lora_B of one rank"),
        (of_one_half, "model.layers.0.self_attn.q_proj: expected lora_A and lora_B of one rank"),
        (of_nothing, "expected lora_A and lora_B of linear layers, got no tensor"),
        (of_whole_numbers, "expected one of ['BF16', 'F16', 'F32'], got 'I8'"),
        (of_no_number, "expected numbers below 65536"),
        (of_infinite, "expected numbers below 65536"),
        (of_huge, "expected numbers below 65536"),
    ],
)
def test_weights_that_the_base_cannot_serve_are_told(
    tmp_path: Path, base: Path, spoil: Callable[[Tensors], None], told: str
) -> None:
    found = tensors()
    spoil(found)
    assert told in refusal(write_adapter(tmp_path / "a", found, adapter_config(4)), base)


def test_weights_of_a_higher_rank_than_the_configuration_says_are_told(tmp_path: Path, base: Path) -> None:
    folder = write_adapter(tmp_path / "a", tensors(rank=8), adapter_config(4))
    assert "expected a rank of at most 4, got 8" in refusal(folder, base, max_rank=4)


def test_a_file_that_is_no_safetensors_is_told(tmp_path: Path, base: Path) -> None:
    folder = write_adapter(tmp_path / "a", tensors(), adapter_config(4))
    (folder / "adapter_model.safetensors").write_bytes(b"\x80\x04not a tensor")
    assert "expected a safetensors header" in refusal(folder, base)


def test_a_copy_is_served_and_outlives_its_source(tmp_path: Path, base: Path) -> None:
    folder = write_adapter(tmp_path / "a", tensors(), adapter_config(4))
    taken = take_in(str(folder), base=base, max_rank=16, cache=tmp_path / "cache")
    assert taken.rank == 4
    assert taken.folder.is_relative_to(tmp_path / "cache")
    write_adapter(folder, adapter_tensors(TINY, seed=1, rank=4), adapter_config(4))
    other = take_in(str(folder), base=base, max_rank=16, cache=tmp_path / "cache")
    assert other.digest != taken.digest
    assert check_adapter(taken.folder, base, 16) == 4
    assert json.loads((taken.folder / "pinnace.json").read_text())["source"] == str(folder)


def test_sources_that_are_no_adapters_are_told(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for source, told in {
        f"wheel:some-adapter==1.0#sha256={'0' * 64}": "expected an adapter in a folder or at hf:",
        f"hf:someone/adapter@{'0' * 40}": "the hub is switched off",
        str(tmp_path / "nowhere"): "no folder at",
    }.items():
        with pytest.raises(WeightsError, match=told):
            take_in(source, base=base, max_rank=16, cache=tmp_path / "cache")
