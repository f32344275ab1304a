"""Shapes from config.json and the headers of weights: counts, formulas, layers with equal weights."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from shape_fixtures import (
    HEAD_SIZE,
    HEADS,
    KV_HEADS,
    LAYER_SIZE,
    LAYERS,
    VOCABULARY,
    WIDTH,
    adapter_folder,
    model_folder,
    weights,
)

from pinnace.errors import WeightsError
from pinnace.models.shapes.card import folder_facts, read_shape
from pinnace.models.shapes.equal_layers import equal_layers
from pinnace.models.shapes.published import DEEP_THIN, PUBLISHED, is_deep_thin, nearest, standing
from pinnace.models.shapes.tensor_file import CHUNK, read_tensors, tensors_of

BODY = LAYERS * LAYER_SIZE + WIDTH
TABLE = VOCABULARY * WIDTH


def test_the_shape_is_what_the_files_say(tmp_path: Path) -> None:
    shape = read_shape(model_folder(tmp_path / "m"))
    assert (shape.layers, shape.width, shape.heads, shape.kv_heads) == (LAYERS, WIDTH, HEADS, KV_HEADS)
    assert (shape.head_size, shape.vocabulary, shape.window) == (HEAD_SIZE, VOCABULARY, 64)
    assert (shape.total, shape.body, shape.embedding, shape.is_tied) == (BODY + TABLE, BODY, TABLE, True)
    assert shape.weight_bytes == 4 * shape.total
    assert shape.kv_bytes_per_token == 2 * LAYERS * KV_HEADS * HEAD_SIZE * 4


def test_flops_are_two_a_parameter_and_those_of_attention(tmp_path: Path) -> None:
    shape = read_shape(model_folder(tmp_path / "m"))
    assert shape.flops_per_token(0) == 2 * (BODY + TABLE)
    assert shape.flops_per_token(10) == 2 * (BODY + TABLE) + 4 * LAYERS * WIDTH * 10


def test_a_head_of_its_own_is_embedding_too(tmp_path: Path) -> None:
    head = {"lm_head.weight": np.zeros((VOCABULARY, WIDTH), dtype=np.float32)}
    untied = read_shape(model_folder(tmp_path / "untied", weights() | head, tie_word_embeddings=False))
    assert (untied.is_tied, untied.embedding, untied.body) == (False, 2 * TABLE, BODY)
    assert untied.flops_per_token(0) == 2 * (BODY + TABLE)
    tied = read_shape(model_folder(tmp_path / "tied", weights() | head))
    assert (tied.is_tied, tied.total) == (True, BODY + TABLE)


def test_what_config_leaves_out_follows_from_the_rest(tmp_path: Path) -> None:
    shape = read_shape(
        model_folder(tmp_path / "m", num_key_value_heads=None, dtype=None, torch_dtype="bfloat16")
    )
    assert (shape.kv_heads, shape.dtype_bytes) == (HEADS, 2)
    assert read_shape(model_folder(tmp_path / "n", dtype=None)).dtype_bytes == 4
    assert read_shape(model_folder(tmp_path / "o", head_dim=5)).head_size == 5


def test_older_names_and_the_text_part_of_a_larger_model_are_known(tmp_path: Path) -> None:
    older = {"num_hidden_layers": None, "hidden_size": None, "n_layer": LAYERS, "n_embd": WIDTH}
    assert read_shape(model_folder(tmp_path / "older", **older)).width == WIDTH
    inner = json.loads((tmp_path / "older" / "config.json").read_text()) | {"num_key_value_heads": 1}
    shape = read_shape(model_folder(tmp_path / "larger", text_config=inner))
    assert (shape.layers, shape.kv_heads) == (LAYERS, 1)


def test_a_mixture_of_experts_has_no_flops_here(tmp_path: Path) -> None:
    assert folder_facts(model_folder(tmp_path / "m", num_local_experts=8))["flops_per_token"] is None
    assert folder_facts(model_folder(tmp_path / "n", num_local_experts=1))["flops_per_token"] is not None


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"num_hidden_layers": None}, "expected num_hidden_layers to be a number from 1, got None"),
        ({"hidden_size": 0}, "expected hidden_size to be a number from 1, got 0"),
        ({"num_attention_heads": "four"}, "expected num_attention_heads .* got 'four'"),
    ],
)
def test_a_configuration_without_a_size_is_refused(tmp_path: Path, config: dict[str, Any], said: str) -> None:
    with pytest.raises(WeightsError, match=said):
        read_shape(model_folder(tmp_path / "m", **config))


@pytest.mark.parametrize(
    ("text", "said"), [("[]", "expected a JSON object, got list"), ("{", "expected JSON")]
)
def test_a_configuration_that_is_none_is_refused(tmp_path: Path, text: str, said: str) -> None:
    folder = model_folder(tmp_path / "m")
    (folder / "config.json").write_text(text)
    with pytest.raises(WeightsError, match=said):
        read_shape(folder)


def test_weights_without_an_embedding_are_refused(tmp_path: Path) -> None:
    tensors = {"x.weight": np.zeros((2, 2), dtype=np.float32)}
    with pytest.raises(WeightsError, match="an embedding of tokens"):
        read_shape(model_folder(tmp_path / "m", tensors))


def test_headers_are_those_that_safetensors_reads(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    with safe_open(folder / "model.safetensors", framework="numpy") as file:
        for name, tensor in read_tensors(folder).items():
            assert b"".join(tensor.chunks()) == file.get_tensor(name).tobytes()
            assert tensor.first(5) == file.get_tensor(name).tobytes()[:5]
            assert list(tensor.shape) == file.get_slice(name).get_shape()


def test_a_large_tensor_is_read_in_pieces(tmp_path: Path) -> None:
    save_file({"a": np.arange(CHUNK // 2, dtype=np.float32)}, tmp_path / "a.safetensors")
    pieces = [len(piece) for piece in tensors_of(tmp_path / "a.safetensors")["a"].chunks()]
    assert (max(pieces), sum(pieces)) == (CHUNK, 2 * CHUNK)


def header(said: object, length: int | None = None) -> bytes:
    raw = said if isinstance(said, bytes) else json.dumps(said).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw


ENTRY = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
BROKEN = [
    (b"", "got one of 0 bytes"),
    (b"short", "got one of 0 bytes"),
    (header({}, 2**40), f"got one of {2**40} bytes"),
    (header(b"{{{"), "got no JSON"),
    (header([1]), "got list"),
    (header({"a": ENTRY}), "'a' lies outside of the file"),
    (header({"a": ENTRY | {"data_offsets": [0, "x"]}}), "expected dtype, shape and data_offsets of 'a'"),
    (header({"a": {"dtype": "F32"}}), "expected dtype, shape and data_offsets of 'a'"),
    (header({"a": 3}), "expected dtype, shape and data_offsets of 'a'"),
]


@pytest.mark.parametrize(("raw", "said"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_file_is_refused(tmp_path: Path, raw: bytes, said: str) -> None:
    (tmp_path / "a.safetensors").write_bytes(raw)
    with pytest.raises(WeightsError, match=said):
        read_tensors(tmp_path)


def test_a_file_that_was_cut_since_is_noticed(tmp_path: Path) -> None:
    path = model_folder(tmp_path / "m") / "model.safetensors"
    last = list(tensors_of(path).values())[-1]
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(WeightsError, match="8 bytes short"):
        list(last.chunks())


def test_layers_with_equal_weights_are_found_wherever_they_are(tmp_path: Path) -> None:
    tensors = weights()
    for name in [name for name in tensors if ".layers.0." in name]:
        tensors[name.replace(".0.", ".3.")] = tensors[name]
    facts = folder_facts(model_folder(tmp_path / "m", tensors))
    assert facts["shared_layers"] == [[0, 3]]
    assert facts["distinct_parameters"] == facts["parameters"] - LAYER_SIZE


def test_layers_that_differ_in_their_last_number_alone_are_not_equal(tmp_path: Path) -> None:
    big = np.zeros((2, CHUNK // 4 + 3), dtype=np.float32)
    tensors = {f"model.layers.{at}.w": big.copy() for at in range(3)}
    tensors["model.layers.1.w"][-1, -1] = 1
    assert equal_layers(read_tensors(model_folder(tmp_path / "m", tensors))) == ((0, 2),)


def test_a_card_has_its_licence_and_where_it_stands(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    facts = folder_facts(folder, context=7)
    assert (facts["licence"], facts["kind"], facts["flops_context"]) == ("apache-2.0", "model", 7)
    assert facts["flops_per_token"] == read_shape(folder).flops_per_token(7)
    assert (facts["deep_thin"], facts["width_per_layer"]) == (True, WIDTH / LAYERS)


def test_an_adapter_s_card_has_its_rank_and_its_share_of_the_base(tmp_path: Path) -> None:
    folder, base = adapter_folder(tmp_path / "a"), model_folder(tmp_path / "m")
    facts = folder_facts(folder, base=base)
    parameters = LAYERS * 2 * (2 * WIDTH + WIDTH + KV_HEADS * HEAD_SIZE)
    assert (facts["kind"], facts["rank"], facts["alpha"], facts["base"]) == ("adapter", 2, 4, "base")
    assert (facts["target_modules"], facts["parameters"]) == (["q_proj", "v_proj"], parameters)
    assert facts["share_of_base"] == parameters / (BODY + TABLE)
    assert folder_facts(folder)["share_of_base"] is None


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("adapter_config.json", "{", "expected JSON"),
        ("adapter_config.json", "[]", "expected a JSON object, got list"),
        ("adapter_model.safetensors", None, "expected adapter_model.safetensors"),
    ],
)
def test_a_broken_adapter_is_refused(tmp_path: Path, file: str, text: str | None, said: str) -> None:
    folder = adapter_folder(tmp_path / "a")
    (folder / file).unlink()
    if text is not None:
        (folder / file).write_text(text)
    with pytest.raises(WeightsError, match=said):
        folder_facts(folder)


@pytest.mark.parametrize("shape", PUBLISHED, ids=lambda shape: shape.name)
def test_every_published_shape_is_nearest_to_itself(shape: Any) -> None:
    assert shape in nearest(shape.layers, shape.width)
    assert f"the shape of {nearest(shape.layers, shape.width)[0].name}" in standing(shape.layers, shape.width)
    assert shape.source in standing(shape.layers, shape.width)


def test_deep_and_thin_is_what_every_mobilellm_is_and_wide_models_are_not() -> None:
    for shape in PUBLISHED:
        assert is_deep_thin(shape.layers, shape.width) == (
            shape.name != "SmolLM2-1.7B" and shape.width_per_layer <= DEEP_THIN
        )
    assert not is_deep_thin(22, 2048)
    assert "not deep and thin" in standing(22, 2048)
    assert "nearest, 24 x 2048: SmolLM2-1.7B" in standing(22, 2048)
