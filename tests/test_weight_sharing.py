"""Block-wise weight sharing: the deeper checkpoint says what running each block twice says."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from shape_fixtures import CONFIG, LAYERS, model_folder, weights

from pinnace.errors import WeightsError
from pinnace.models.cache import is_ready, read_manifest
from pinnace.models.shapes.card import folder_facts, read_shape
from pinnace.models.shapes.weight_sharing import INDEX, repeated_config, share_layers


def llama(folder: Path) -> Any:
    """The model in `folder` as transformers loads it."""
    import torch
    from transformers import LlamaForCausalLM

    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def saved_llama(folder: Path, *, shard: str = "5GB") -> Path:
    """A tiny random Llama as transformers saves it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        **{key: CONFIG[key] for key in CONFIG if key not in ("architectures", "layer_types", "dtype")}
    )
    LlamaForCausalLM(config).save_pretrained(folder, max_shard_size=shard)
    return folder


@pytest.mark.parametrize("times", [2, 3])
@pytest.mark.parametrize("shard", ["5GB", "4KB"])
def test_logits_are_those_of_each_block_run_so_often(tmp_path: Path, times: int, shard: str) -> None:
    import torch

    folder = saved_llama(tmp_path / "m", shard=shard)
    assert (folder / INDEX).exists() == (shard == "4KB")
    shared, once = llama(share_layers(folder, tmp_path / "ls", times=times)), llama(folder)
    once.model.layers = torch.nn.ModuleList([layer for layer in once.model.layers for _ in range(times)])
    once.config.num_hidden_layers = once.model.config.num_hidden_layers = LAYERS * times
    asked = torch.arange(24).reshape(2, 12) % CONFIG["vocab_size"]
    with torch.no_grad():
        assert len(shared.model.layers) == LAYERS * times
        assert torch.equal(shared(asked, use_cache=False).logits, once(asked, use_cache=False).logits)
        assert not torch.equal(
            shared(asked, use_cache=False).logits, llama(folder)(asked, use_cache=False).logits
        )


def test_the_card_tells_which_layers_are_the_same_and_what_they_cost(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    out = share_layers(folder, tmp_path / "ls")
    was, now = folder_facts(folder), folder_facts(out)
    assert now["shared_layers"] == [[2 * at, 2 * at + 1] for at in range(LAYERS)]
    assert (now["layers"], now["distinct_parameters"]) == (2 * LAYERS, was["parameters"])
    assert now["kv_bytes_per_token"] == 2 * was["kv_bytes_per_token"]
    assert read_shape(out).body > read_shape(folder).body


def test_tensors_are_copied_to_the_bit_and_lists_of_layers_grow(tmp_path: Path) -> None:
    out = share_layers(model_folder(tmp_path / "m"), tmp_path / "ls")
    found, was = load_file(out / "model.safetensors"), weights()
    for name, tensor in was.items():
        layer = name.split(".")[2] if ".layers." in name else None
        copies = (
            [name]
            if layer is None
            else [name.replace(f".{layer}.", f".{2 * int(layer) + i}.", 1) for i in (0, 1)]
        )
        for copy in copies:
            np.testing.assert_array_equal(found.pop(copy), tensor)
    assert found == {}
    config = json.loads((out / "config.json").read_text())
    kinds = CONFIG["layer_types"]
    assert isinstance(kinds, list)
    assert config["layer_types"] == [kind for kind in kinds for _ in (0, 1)]
    assert config["hidden_size"] == CONFIG["hidden_size"]


def test_what_else_a_model_has_comes_along_and_code_does_not(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    for name in ("tokenizer.json", "chat_template.jinja", "LICENSE", "modeling.py", "weights.bin"):
        (folder / name).write_text("{}")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    (folder / "licenses").mkdir()
    (folder / "licenses" / "NOTICE").write_text("notice")
    out = share_layers(folder, tmp_path / "ls")
    names = {path.name for path in out.rglob("*") if path.is_file()}
    assert names >= {
        "tokenizer.json",
        "chat_template.jinja",
        "LICENSE",
        "README.md",
        "NOTICE",
        "pinnace.json",
    }
    assert names.isdisjoint({"modeling.py", "weights.bin"})
    manifest = read_manifest(out)
    assert manifest is not None
    assert (manifest.license, is_ready(out)) == ("mit", True)
    assert manifest.source == f"every layer 2 times: {folder}"


@pytest.mark.parametrize("times", [0, 1, 9])
def test_a_number_of_times_that_makes_no_sense_is_refused(tmp_path: Path, times: int) -> None:
    with pytest.raises(WeightsError, match=f"times: expected 2 to 8, got {times}"):
        share_layers(model_folder(tmp_path / "m"), tmp_path / "ls", times=times)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    (tmp_path / "ls").mkdir()
    with pytest.raises(WeightsError, match="is there already"):
        share_layers(folder, tmp_path / "ls")


def test_layers_that_are_not_those_of_the_configuration_are_refused(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m", weights(layers=3))
    with pytest.raises(WeightsError, match="expected tensors of layers 0 to 3, got those of 3 layers"):
        share_layers(folder, tmp_path / "ls")
    assert list(tmp_path.iterdir()) == [folder]


def test_a_configuration_without_layers_is_refused() -> None:
    with pytest.raises(WeightsError, match="num_hidden_layers to be a number from 1, got None"):
        repeated_config({}, 2)


def test_a_copy_that_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pinnace.models.shapes.weight_sharing._copy_rest", full)
    folder = model_folder(tmp_path / "m")
    with pytest.raises(WeightsError, match="No space left"):
        share_layers(folder, tmp_path / "ls")
    assert list(tmp_path.iterdir()) == [folder]


def test_a_model_in_several_files_keeps_its_index_true(tmp_path: Path) -> None:
    tensors = weights()
    folder = model_folder(tmp_path / "m", dict(list(tensors.items())[:10]))
    save_file(dict(list(tensors.items())[10:]), folder / "model-2.safetensors")
    (folder / INDEX).write_text("{}")
    out = share_layers(folder, tmp_path / "ls")
    index = json.loads((out / INDEX).read_text())
    stored = {name: path.name for path in out.glob("*.safetensors") for name in load_file(path)}
    assert index["weight_map"] == stored
    assert index["metadata"]["total_size"] == read_shape(out).weight_bytes
