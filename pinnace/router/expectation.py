"""Expectation: the fitted estimator as plain arrays, from what is seen of requests to qualities.

Beside the heads that all rows taught it holds those of a few folds, each taught without its fold: under a
`quality_floor` a request is served by one of them, chosen by a hash, because only of those is it known what
they do to requests that they have not seen. Knows neither clusters, nor prices, nor the fleet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b
from typing import Any

import numpy as np

from pinnace.router.estimators.features import Features, Seen, look
from pinnace.router.estimators.marks import MARKS
from pinnace.router.estimators.ngrams import BUCKETS, NgramProjection
from pinnace.router.estimators.quality import QualityHeads
from pinnace.router.types import FloatArray, IntArray

HALF = ("directions",)
"""Arrays that are stored as float16: directions are a few hundred kilobytes, and rough ones do as well."""
_HEADS = tuple(field.name for field in fields(QualityHeads))


@dataclass(frozen=True, slots=True, eq=False)
class Expectation:
    """d features, m models. `features` is fitted; `heads` know all rows, each of `folds` all but its fold.

    `centre` (d,), `covariance` (d, d), `residual` (m,) and `rows` give the uncertainty, as in
    `pinnace.router.estimators.request`. All numbers are what their stored precision can hold, so that a
    state from disk says the same as the one that was fitted.
    """

    features: Features
    heads: QualityHeads
    folds: tuple[QualityHeads, ...]
    centre: FloatArray
    covariance: FloatArray
    residual: FloatArray
    rows: int

    def see(self, texts: Sequence[str], vectors: FloatArray) -> FloatArray:
        """The features of requests with these texts and embeddings (n, dim), of shape (n, d)."""
        return self.features.transform(look(texts, vectors))

    def quality(self, features: FloatArray) -> FloatArray:
        """Expected quality, (n, m), by the heads that know all rows."""
        return self.heads.predict(features)

    def quality_by_fold(self, features: FloatArray, folds: IntArray) -> FloatArray:
        """Expected quality, (n, m), of each request by the heads of its fold."""
        found = np.zeros((len(features), len(self.residual)))
        for fold, heads in enumerate(self.folds):
            chosen = folds == fold
            if chosen.any():
                found[chosen] = heads.predict(features[chosen])
        return found

    def fold_of(self, texts: Sequence[str]) -> IntArray:
        """The fold whose heads serve each request, (n,): the same for the same text."""
        return np.array([_digest(text) % len(self.folds) for text in texts], dtype=np.int64)

    def sd(self, features: FloatArray) -> FloatArray:
        """Standard deviation of the expected quality, (n, m)."""
        centred = features - self.centre
        leverage = 1 / self.rows + ((centred @ self.covariance) * centred).sum(axis=1)
        return np.sqrt(np.maximum(leverage, 0.0)[:, None] * self.residual)

    def arrays(self) -> dict[str, FloatArray]:
        """Every array by the name that it has on disk."""
        found = {
            "rarity": self.features.projection_.rarity_,
            "directions": self.features.projection_.directions_,
            "marks_centre": self.features.centre_,
            "marks_scale": self.features.scale_,
            "centre": self.centre,
            "covariance": self.covariance,
            "residual": self.residual,
        }
        for prefix, heads in self._all_heads():
            found |= {f"{prefix}.{name}": array for name, array in heads.arrays().items()}
        return found

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes that the arrays must have to fit each other."""
        ngrams = self.features.projection_.directions_.shape[1]
        marks, m = len(MARKS), len(self.residual)
        d = self.features.dim_ + ngrams + marks
        found: dict[str, tuple[int, ...]] = {
            "rarity": (BUCKETS,),
            "directions": (BUCKETS, ngrams),
            "marks_centre": (marks,),
            "marks_scale": (marks,),
            "centre": (d,),
            "covariance": (d, d),
            "residual": (m,),
        }
        for prefix, heads in self._all_heads():
            kinds = len(heads.kind_intercepts)
            shapes = ((d, kinds), (kinds,), (kinds, m), (d, m), (m,))
            found |= {f"{prefix}.{name}": shape for name, shape in zip(_HEADS, shapes, strict=True)}
        return found

    def _all_heads(self) -> list[tuple[str, QualityHeads]]:
        return [("heads", self.heads), *((f"fold{i}", heads) for i, heads in enumerate(self.folds))]


def names_of(folds: int) -> tuple[str, ...]:
    """The names of the arrays of an expectation of so many folds."""
    prefixes = ("heads", *(f"fold{i}" for i in range(folds)))
    heads = tuple(f"{prefix}.{name}" for prefix in prefixes for name in _HEADS)
    plain = ("rarity", "directions", "marks_centre", "marks_scale", "centre", "covariance", "residual")
    return (*plain, *heads)


def expectation_of(arrays: Mapping[str, FloatArray], *, dim: int, folds: int, rows: int) -> Expectation:
    """An expectation from its arrays; `dim` is the length of the embedding."""
    return Expectation(
        features=features_of_arrays(arrays, dim),
        heads=_heads(arrays, "heads"),
        folds=tuple(_heads(arrays, f"fold{i}") for i in range(folds)),
        centre=arrays["centre"],
        covariance=arrays["covariance"],
        residual=arrays["residual"],
        rows=rows,
    )


def features_of_arrays(arrays: Mapping[str, FloatArray], dim: int) -> Features:
    """Fitted features from their arrays."""
    features = Features(arrays["directions"].shape[-1])
    features.dim_ = dim
    features.centre_, features.scale_ = arrays["marks_centre"], arrays["marks_scale"]
    features.projection_ = NgramProjection(features.ngrams)
    features.projection_.rarity_ = arrays["rarity"]
    features.projection_.directions_ = arrays["directions"]
    return features


def as_stored(name: str, array: FloatArray) -> Any:
    """The array in the precision that it is stored in."""
    return np.ascontiguousarray(array, dtype=np.float16 if name in HALF else np.float32)


def rounded(arrays: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """The arrays as they come back from disk."""
    return {name: as_stored(name, array).astype(np.float64) for name, array in arrays.items()}


def seen_features(features: Features, seen: Seen) -> tuple[Features, FloatArray]:
    """The features with their arrays rounded, and what they make of `seen`, (n, d)."""
    arrays = {
        "rarity": features.projection_.rarity_,
        "directions": features.projection_.directions_,
        "marks_centre": features.centre_,
        "marks_scale": features.scale_,
    }
    stored = features_of_arrays(rounded(arrays), features.dim_)
    return stored, stored.transform(seen)


def _heads(arrays: Mapping[str, FloatArray], prefix: str) -> QualityHeads:
    return QualityHeads(**{name: arrays[f"{prefix}.{name}"] for name in _HEADS})


def _digest(text: str) -> int:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")
