"""Compares the log-probabilities that our sampler gathers with those of vLLM's own; prints how many agree.

A process of its own, since it imports vLLM. Run: python tests/vllm_logprobs.py
"""

import itertools

import torch
from vllm.v1.sample.sampler import Sampler

from pinnace.models.engine_tuning import ROWS, gather_logprobs, kept

CLOSE = 2e-5
"""Nats: sums in another order differ by some millionths."""
CASES = tuple(itertools.product((49_152, 1_000), (0, 1, 2, 20)))


def is_same(vocabulary: int, count: int) -> bool:
    """Whether tokens and ranks are equal, and log-probabilities nearly, for likely and unlikely tokens."""
    seeded = torch.Generator().manual_seed(vocabulary + count)
    logits = 3 * torch.randn(2 * ROWS + 3, vocabulary, generator=seeded)
    chosen = torch.randint(0, vocabulary, (len(logits),), generator=seeded)
    chosen[:5] = logits[:5].argmax(-1)
    theirs = Sampler.gather_logprobs(Sampler.compute_logprobs(logits), count, chosen)
    ours = gather_logprobs(kept(logits), count, chosen)
    return (
        torch.allclose(ours.logprobs, theirs.logprobs, rtol=0, atol=CLOSE)
        and torch.equal(ours.logprob_token_ids, theirs.logprob_token_ids)
        and torch.equal(ours.selected_token_ranks, theirs.selected_token_ranks)
    )


if __name__ == "__main__":
    print(f"{sum(itertools.starmap(is_same, CASES))} of {len(CASES)} are the same")
