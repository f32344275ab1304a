"""What an answer took in joules, and where that figure comes from. Pure.

Measured where a meter gave it with the tokens; else by the figures that the model's card has, which say
whether they are declared, calibrated or estimated. There is no figure without its source.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pinnace.config import Energy
from pinnace.models.card import ModelCard
from pinnace.models.completion import Usage

UNKNOWN = "unknown"
"""What stands for the source of a model whose joules nobody knows."""


@dataclass(frozen=True, slots=True)
class Joules:
    """So many joules, and where the figure comes from: `measured: rapl`, `declared: a watt meter`."""

    joules: float
    source: str


def joules_of(card: ModelCard | None, usage: Usage) -> Joules | None:
    """What `usage` took on this model; None where nothing says."""
    energy = None if card is None else card.energy
    if energy is None:
        return None
    if usage.joules is not None:
        return Joules(usage.joules, f"measured: {energy.meter}")
    figures = by_tokens(energy, usage.prompt_tokens, usage.completion_tokens)
    return None if figures is None else Joules(figures, source_of(energy))


def by_tokens(energy: Energy, prompt_tokens: float, completion_tokens: float) -> float | None:
    """Joules of so many tokens by the figures of `energy`; None where it has only a meter."""
    if energy.input is None or energy.output is None:
        return None
    return (prompt_tokens * energy.input + completion_tokens * energy.output) / 1000


def source_of(energy: Energy) -> str:
    """Where the figures come from: `calibrated: 12 W over 40 answers`."""
    if energy.source is None:
        return f"measured: {energy.meter}"
    return f"{energy.basis}: {energy.source}"


def sum_of(parts: Iterable[tuple[str, float | None, str]]) -> tuple[float | None, str]:
    """Joules of several models' work, and their sources.

    :param parts: of each its model, its joules (None: unknown) and their source.
    :return: the sum of what is known, None where nothing is; and each model with its source, `unknown` among
        them, so that a sum which lacks something says so.
    """
    listed = list(parts)
    known = [joules for _, joules, _ in listed if joules is not None]
    if not known:
        return None, ""
    sources = dict.fromkeys(f"{model}: {source or UNKNOWN}" for model, _, source in listed)
    return sum(known), "; ".join(sources)
