"""Published shapes of sub-billion and small language models, and where a model sits among them. Pure.

MobileLLM: Liu et al., "MobileLLM: Optimizing Sub-billion Parameter Language Models for On-Device Use Cases",
arXiv 2402.14905. SmolLM2: Ben Allal et al., "SmolLM2: When Smol Goes Big", arXiv 2502.02737.
"""

from dataclasses import dataclass
from math import hypot, log

MOBILELLM = "arXiv 2402.14905"
SMOLLM2 = "arXiv 2502.02737"


@dataclass(frozen=True, slots=True)
class PublishedShape:
    """One published model: `layers` of `width` numbers."""

    name: str
    layers: int
    width: int
    source: str

    @property
    def width_per_layer(self) -> float:
        """Width over depth."""
        return self.width / self.layers


PUBLISHED = (
    PublishedShape("MobileLLM-125M", 30, 576, MOBILELLM),
    PublishedShape("MobileLLM-350M", 32, 960, MOBILELLM),
    PublishedShape("MobileLLM-600M", 40, 1152, MOBILELLM),
    PublishedShape("MobileLLM-1B", 54, 1280, MOBILELLM),
    PublishedShape("SmolLM2-135M", 30, 576, SMOLLM2),
    PublishedShape("SmolLM2-360M", 32, 960, SMOLLM2),
    PublishedShape("SmolLM2-1.7B", 24, 2048, SMOLLM2),
)

DEEP_THIN = max(shape.width_per_layer for shape in PUBLISHED if shape.source == MOBILELLM)
"""The most width per layer that still counts as deep and thin: that of the widest MobileLLM here."""


def is_deep_thin(layers: int, width: int) -> bool:
    """Whether a model is as deep and thin as MobileLLM's."""
    return width / layers <= DEEP_THIN


def nearest(layers: int, width: int) -> tuple[PublishedShape, ...]:
    """The published shapes nearest to `layers` x `width`, by ratios; several where they are the same."""
    far = [hypot(log(shape.layers / layers), log(shape.width / width)) for shape in PUBLISHED]
    return tuple(shape for shape, distance in zip(PUBLISHED, far, strict=True) if distance == min(far))


def standing(layers: int, width: int) -> str:
    """One sentence: how wide a layer is beside the published shapes, and which of them is nearest."""
    near = nearest(layers, width)
    names = " and ".join(f"{shape.name} ({shape.source})" for shape in near)
    is_same = (near[0].layers, near[0].width) == (layers, width)
    kind = "deep and thin" if is_deep_thin(layers, width) else "not deep and thin"
    return (
        f"{layers} x {width}, {width / layers:.1f} of width per layer: {kind} "
        f"(MobileLLM: at most {DEEP_THIN:.1f}); "
        f"{'the shape of' if is_same else f'nearest, {near[0].layers} x {near[0].width}:'} {names}"
    )
