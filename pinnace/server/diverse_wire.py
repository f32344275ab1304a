"""The field `diverse` of a chat request, an extension of Pinnace: how many different answers, how alike."""

from pydantic import Field

from pinnace.config import Limits
from pinnace.router.diverse import SAMPLES_PER_ANSWER, SIMILARITY, Wish
from pinnace.server.generation import too_large, wrong_field
from pinnace.server.shapes import Shape

MOST_SAMPLES = 8
"""Samples that a request may draw for each choice that `limits.n` allows."""


class Diverse(Shape):
    """`n` different answers, drawn from at most `max_samples`; alike from a cosine of `similarity` on."""

    n: int = Field(ge=2)
    similarity: float = Field(default=SIMILARITY, gt=0, le=1)
    max_samples: int | None = Field(default=None, ge=2)

    def to_wish(self, limits: Limits) -> Wish:
        """The wish within the limits.

        :raises RequestError: where it is over one of them.
        """
        if self.n > limits.n:
            raise too_large("diverse.n", limits.n, self.n)
        most = self.max_samples or self.n * SAMPLES_PER_ANSWER
        if most > limits.n * MOST_SAMPLES:
            raise too_large("diverse.max_samples", limits.n * MOST_SAMPLES, most)
        if most < self.n:
            raise wrong_field("diverse.max_samples", f"expected at least n, {self.n}, got {most}")
        return Wish(self.n, most, self.similarity)
