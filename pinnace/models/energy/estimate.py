"""Energy by a stated formula, where nothing measures: FLOPs x joules per FLOP + bytes x joules per byte.

Counts the arithmetic of every token, the weights that are read for it (once a prompt; once a written token of
a batch) and its KV cache. Leaves out what idles, caches, and everything around the model: a lower bound of
what a socket would show, and good for comparing models. A battery is counted by the same figures.
"""

from dataclasses import dataclass
from typing import Any

from pinnace.config import Energy
from pinnace.errors import WeightsError
from pinnace.models.energy.joules import by_tokens, source_of
from pinnace.models.shapes.shape import Shape


@dataclass(frozen=True, slots=True)
class Physics:
    """Joules of one FLOP and of one byte that is moved, and where the two come from."""

    joules_per_flop: float
    joules_per_byte: float
    source: str


PUBLISHED = Physics(
    joules_per_flop=(3.7e-12 + 0.9e-12) / 2,
    joules_per_byte=0.1 / 1e9,
    source=(
        "3.7 + 0.9 pJ per multiply and add (32 bit, 45 nm; Horowitz, ISSCC 2014), 0.1 J per token and 10^9 "
        "parameters of a byte (MobileLLM, arXiv 2402.14905)"
    ),
)
"""A published figure for each; an operator's own watt meter is better than both."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked: tokens of a prompt and its answer, and how many answers share a reading of weights."""

    prompt_tokens: int = 256
    answer_tokens: int = 128
    batch: int = 1


def estimated(shape: Shape, load: Load, physics: Physics = PUBLISHED) -> Energy:
    """Joules per 1,000 tokens of `load` on a model of this shape.

    :raises WeightsError: for a mixture of experts, whose FLOPs are not known from its shape.
    """
    reading = load.prompt_tokens / 2
    writing = load.prompt_tokens + load.answer_tokens / 2
    prompt_bytes = shape.weight_bytes / load.prompt_tokens + shape.kv_bytes_per_token
    answer_bytes = shape.weight_bytes / load.batch + shape.kv_bytes_per_token * writing
    return Energy(
        input=1000
        * (_flops(shape, reading) * physics.joules_per_flop + prompt_bytes * physics.joules_per_byte),
        output=1000
        * (_flops(shape, writing) * physics.joules_per_flop + answer_bytes * physics.joules_per_byte),
        basis="estimated",
        source=(
            f"FLOPs x {physics.joules_per_flop:.2g} J + bytes x {physics.joules_per_byte:.2g} J for "
            f"{load.prompt_tokens} tokens in, {load.answer_tokens} out, batch {load.batch}; {physics.source}"
        ),
    )


def battery(energy: Energy, load: Load, kilojoules: float, tokens_per_second: float) -> dict[str, Any]:
    """How long a battery lasts: answers, tokens written, and hours at a pace of writing.

    :raises WeightsError: where `energy` has no figures.
    """
    joules = by_tokens(energy, load.prompt_tokens, load.answer_tokens)
    if joules is None:
        raise WeightsError("expected figures per 1,000 tokens; a meter alone foretells nothing")
    answers = kilojoules * 1000 / joules if joules else float("inf")
    written = answers * load.answer_tokens
    return {
        "kilojoules": kilojoules,
        "prompt_tokens": load.prompt_tokens,
        "answer_tokens": load.answer_tokens,
        "joules_per_answer": joules,
        "answers": answers,
        "tokens_written": written,
        "tokens_per_second": tokens_per_second,
        "hours": written / tokens_per_second / 3600,
        "source": source_of(energy),
    }


def _flops(shape: Shape, context: float) -> int:
    found = shape.flops_per_token(round(context))
    if found is None:
        raise WeightsError("expected a dense model: FLOPs of a mixture of experts are not in its shape")
    return found
