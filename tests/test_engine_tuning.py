"""The engine's tuning changes no answer: the same log-probabilities as vLLM's own, for less."""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.models.engine_tuning import BLOCK, kept, norms_and_maxima, remembering, top_tokens

torch: Any = importlib.import_module("torch")


@given(
    rows=st.integers(1, 5),
    vocabulary=st.sampled_from([BLOCK, 3 * BLOCK, 3 * BLOCK + 1, 20]),
    count=st.integers(1, 5),
    seed=st.integers(0, 1000),
)
def test_the_likeliest_are_those_that_a_whole_sort_finds(
    rows: int, vocabulary: int, count: int, seed: int
) -> None:
    logits = torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(seed))
    before = logits.clone()
    norms, maxima = norms_and_maxima(logits)
    values, tokens = top_tokens(logits, maxima, count)
    assert torch.equal(logits, before)
    assert torch.allclose(norms, logits.logsumexp(-1, keepdim=True), atol=1e-5)
    best = logits.topk(count, dim=-1)
    assert torch.equal(values, best.values)
    assert torch.equal(tokens, best.indices)


def test_a_token_that_a_grammar_forces_is_certain() -> None:
    logits = torch.full((2, 2 * BLOCK), -torch.inf)
    logits[:, 7] = 3.25
    norms, _ = norms_and_maxima(logits)
    assert torch.equal(logits[:, 7:8] - norms, torch.zeros(2, 1))


def test_logits_are_kept_from_what_the_sampler_does_to_them() -> None:
    single, half = torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.bfloat16)
    saved = kept(single)
    single += 1
    assert saved.sum() == 0
    assert kept(half) is half  # the sampler works on a float32 copy


def test_a_token_is_decoded_once_and_longer_texts_every_time() -> None:
    asked: list[list[int]] = []

    def decode(token_ids: list[int], **options: bool) -> str:
        asked.append(token_ids)
        return "+".join(map(str, token_ids))

    remembered = remembering(decode)
    assert [remembered([7]), remembered([7]), remembered([8])] == ["7", "7", "8"]
    assert asked == [[7], [8]]
    assert [remembered([7, 8]), remembered([7], skip_special_tokens=True)] == ["7+8", "7"]
    assert asked[2:] == [[7, 8], [7]]


@pytest.mark.real
def test_vllm_finds_the_same() -> None:
    command = [sys.executable, "-W", "ignore", str(Path(__file__).parent / "vllm_logprobs.py")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ran.stdout.splitlines()[-1:] == ["8 of 8 are the same"], ran.stdout + ran.stderr
