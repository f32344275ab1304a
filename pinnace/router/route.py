"""The route chosen for one request, and why: plain values that the cascade runs and the CLI explains."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelEstimate:
    """What is expected of one model on one request, before it runs.

    `quality` is the probability of a right answer with its standard deviation `quality_sd`; `cost_usd`
    is the expected price of the request; `struck_out` says why the model cannot serve it, if it cannot.
    """

    model: str
    quality: float
    quality_sd: float
    cost_usd: float
    struck_out: str | None = None


@dataclass(frozen=True, slots=True)
class EscalationGain:
    """Mean score that `to` wins over `model` on requests like this one, with its 95 % interval; -1 to 1."""

    model: str
    to: str
    gain: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ClusterMatch:
    """One cluster that the request falls into: its readable label and the weight it is given, 0 to 1."""

    index: int
    label: str
    weight: float


@dataclass(frozen=True, slots=True)
class Rung:
    """One model of a route: its answer is accepted at a confidence of at least `bar`, or always without one.

    A fallback is reached only when the rungs before it failed.
    """

    model: str
    bar: float | None = None
    is_fallback: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """The ordered rungs for one request, and the reasons in words.

    `strategy` is `pinned` (the client named the model), `single` (one model alone is best), `cascade`
    (try small, climb in doubt), `direct` (the cascade would lose: straight to the large model) or
    `explored` (otherwise than usual, to learn).
    `familiarity` is how much the request is like what was measured, 0 to 1; the less, the nearer are the
    estimates to each model's mean. `gains` are those of the dearest model over each cheaper one.
    `began` is when the decision began, on the clock of `time.perf_counter`; it took `decision_s`, of which
    `embed_s` was spent waiting for the embedding.
    """

    rungs: tuple[Rung, ...]
    strategy: str
    why: str
    clusters: tuple[ClusterMatch, ...] = ()
    familiarity: float = 1.0
    estimates: tuple[ModelEstimate, ...] = ()
    decision_s: float = 0.0
    gains: tuple[EscalationGain, ...] = ()
    began: float = 0.0
    embed_s: float = 0.0
