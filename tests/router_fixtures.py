"""What the router's tests stand on: judges, backends that do as they are told, and a small fitted state."""

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from server_fixtures import member

from pinnace.config import Config, ScriptedMember
from pinnace.models.backend import Backend
from pinnace.models.card import ModelCard, card_of
from pinnace.models.completion import Delta, Message, Request, TokenLogprob
from pinnace.models.scripted import ScriptedBackend
from pinnace.router.answer import Answered, Committed, Event
from pinnace.router.calibration_rows import CalibrationRows
from pinnace.router.cascade import Cascade
from pinnace.router.clusters import Clusters
from pinnace.router.escalation import EscalationGains
from pinnace.router.estimators.marks import MARKS
from pinnace.router.estimators.ngrams import BUCKETS
from pinnace.router.evidence import FEATURES, Evidence
from pinnace.router.expectation import Expectation, expectation_of
from pinnace.router.gate import Gate, Logistic, features_of
from pinnace.router.ledger_row import LedgerRow
from pinnace.router.route import ModelEstimate, Route, Rung
from pinnace.router.state import QUANTILES, Provenance, RouterState, as_loaded

ASKED = Request((Message("user", "What is the capital of France?"),), id="r1", top_logprobs=2)

ROW = LedgerRow(
    request_id="chatcmpl-1",
    created=1_800_000_000.25,
    asked_model="auto",
    model="large",
    strategy="cascade",
    route="small>large",
    confidence=0.97,
    escalated=True,
    outcome="accepted",
    why="escalated: small: confidence 0.20 is below 0.50",
    prompt_tokens=6,
    completion_tokens=3,
    cost_usd=0.000091,
    decision_s=0.004,
    total_s=1.25,
    clusters="3,1",
    attempts="[]",
)


class ToldBackend:
    """Yields the deltas that it was given, then raises what it was given, if anything."""

    def __init__(self, name: str, *deltas: Delta, error: Exception | None = None) -> None:
        self.card = card_of(member(name, {"answer": "x"}), backend="told")
        self.deltas = deltas
        self.error = error

    async def start(self) -> None:
        """Nothing to start."""

    async def drain(self) -> None:
        """Nothing to give back."""

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        for delta in self.deltas:
            await asyncio.sleep(0)
            yield delta
        if self.error is not None:
            raise self.error


def scripted(name: str, answer: str, *, price: float = 1.0, **reply: object) -> ScriptedBackend:
    """A scripted backend with one answer to everything."""
    return ScriptedBackend(member(name, {"answer": answer, **reply}, price=price))


def mean_probability(card: ModelCard, evidence: Sequence[Evidence], is_whole: bool) -> float:
    """A judge: the geometric mean of what the tokens claim."""
    return math.exp(sum(e.mean for e in evidence) / len(evidence))


def cascade_of(*backends: Backend, bar: float = 0.5, fallbacks: int = 0, request: Request = ASKED) -> Cascade:
    """A cascade over `backends` in order, every rung but the last of the ladder with a bar."""
    names = [backend.card.name for backend in backends]
    ladder = names[: len(names) - fallbacks]
    rungs = [Rung(name, bar) for name in ladder[:-1]] + [Rung(ladder[-1])]
    rungs += [Rung(name, is_fallback=True) for name in names[len(ladder) :]]
    estimates = tuple(ModelEstimate(name, 0.25, 0.1, 0.0) for name in names)
    route = Route(tuple(rungs), "cascade", "small first", estimates=estimates)
    return Cascade(request, route, {b.card.name: b for b in backends}, mean_probability)


@dataclass
class Run:
    """What came out of a cascade that was run to its end."""

    committed: Committed
    deltas: list[Delta]
    answered: Answered

    def text(self, index: int = 0) -> str:
        return "".join(delta.text for delta in self.deltas if delta.index == index)


async def run(cascade: Cascade, hold_tokens: int | None = None) -> Run:
    """Run it to its end, and check the order of its events."""
    events: list[Event] = [event async for event in cascade.run(hold_tokens)]
    committed, *deltas, answered = events
    assert isinstance(committed, Committed)
    assert isinstance(answered, Answered)
    assert all(isinstance(delta, Delta) for delta in deltas)
    assert committed is cascade.committed
    return Run(committed, [d for d in deltas if isinstance(d, Delta)], answered)


async def failure(cascade: Cascade, hold_tokens: int | None = None) -> Exception:
    """The error that a cascade ends with."""
    return await failure_of(run(cascade, hold_tokens))


def verdicts(cascade: Cascade) -> list[tuple[str, str]]:
    """Model and verdict of each attempt."""
    return [(attempt.model, attempt.verdict) for attempt in cascade.attempts]


def token(text: str, logprob: float = -0.1, *others: float) -> TokenLogprob:
    """A token with its log-probability, and those of the ones after it."""
    top = ((text, logprob), *((f"other{i}", other) for i, other in enumerate(others)))
    return TokenLogprob(text, logprob, top)


class AxisEmbedder:
    """Words on axes: a text about sums lies on the first, one about capitals on the second."""

    name = "axes"
    dim = 2

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.array([[float("sum" in text), float("capital" in text) + 1e-6] for text in texts])
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def logistic_on(feature: str, slope: float, intercept: float) -> Logistic:
    """A gate that looks at one feature alone."""
    evidence = Evidence(**dict.fromkeys(FEATURES, 0.0))
    width = len(features_of(evidence, 0.5))
    coefficients = [0.0] * width
    coefficients[FEATURES.index(feature)] = slope
    return Logistic((0.0,) * width, (1.0,) * width, tuple(coefficients), intercept)


QUALITY = np.array([[0.15, 0.95], [0.8, 0.97]])


def linear_expectation(quality: np.ndarray, folds: int = 2, rows: int = 100) -> Expectation:
    """Qualities (dim, m) that are linear in the embedding alone, each with a standard deviation of 0.05."""
    dim, m = quality.shape
    d = dim + 1 + len(MARKS)
    arrays = {
        "rarity": np.ones(BUCKETS),
        "directions": np.zeros((BUCKETS, 1)),
        "marks_centre": np.zeros(len(MARKS)),
        "marks_scale": np.ones(len(MARKS)),
        "centre": np.zeros(d),
        "covariance": np.zeros((d, d)),
        "residual": np.full(m, rows * 0.05**2),
    }
    for prefix in ("heads", *(f"fold{i}" for i in range(folds))):
        arrays |= {
            f"{prefix}.kind_weights": np.zeros((d, 1)),
            f"{prefix}.kind_intercepts": np.zeros(1),
            f"{prefix}.kind_table": np.zeros((1, m)),
            f"{prefix}.weights": np.vstack([quality, np.zeros((d - dim, m))]),
            f"{prefix}.intercepts": np.zeros(m),
        }
    return expectation_of(arrays, dim=dim, folds=folds, rows=rows)


def calibration_rows(n: int = 400, seed: int = 0, gap: float = 0.02) -> CalibrationRows:
    """Rows on half of which `small` loses `gap` of what `large` knows, and on half of which it knows nothing.

    The estimates are those of `QUALITY`; answers are a little shorter than those that are expected of it.
    """
    is_capital = np.arange(n) % 2 == 1
    large = (np.random.default_rng(seed).random(n) < 0.9).astype(float)
    lost = np.random.default_rng(seed + 1).random(n) < gap
    small = np.where(is_capital & ~lost, large, 0.0)
    return CalibrationRows(
        quality=QUALITY[is_capital.astype(int)],
        scores=np.stack([small, large], axis=1),
        prompt_tokens=np.full(n, 8.0),
        expected_tokens=np.full((n, 2), [10.0, 20.0]),
        output_tokens=np.full((n, 2), [10.0, 20.0]),
    )


def small_state(embedder: str = "axes") -> RouterState:
    """Two clusters, sums and capitals: `small` is right about capitals, `large` nearly always.

    The gate judges `small` alone, by the mean log-probability of its tokens. `large` wins by 0.8 on sums, by
    0.17 on capitals.
    """
    gain = np.zeros((3, 2, 2))
    gain[:, 0, 1] = [0.8, 0.17, 0.46]
    gain[:, 1, 0] = -gain[:, 0, 1]
    spread = np.full((2, 2, QUANTILES), np.nan)
    levels = (np.arange(QUANTILES) + 0.5) / QUANTILES
    spread[:, 0] = [levels * 0.3, 0.6 + 0.4 * levels]
    gate = {"small": logistic_on("mean", 4.0, 2.0)}
    state = RouterState(
        models=("small", "large"),
        clusters=Clusters(np.eye(2), ("sum, plus", "capital, country")),
        quality=QUALITY,
        quality_sd=np.array([[0.05, 0.02], [0.05, 0.02]]),
        output_tokens=np.array([[20.0, 40.0], [10.0, 20.0]]),
        confidences=spread,
        overall=np.array([[0.5, 15.0], [0.96, 30.0]]),
        gate=Gate(gate, gate),
        hold_tokens=3,
        provenance=Provenance("2026-11-22", "0.1.0", embedder, 100, "0" * 64, 0, {}, {}),
        expectation=linear_expectation(QUALITY),
        gains=EscalationGains(gain, np.full_like(gain, 0.1)),
        calibration=calibration_rows(),
    )
    return as_loaded(state)


def scripted_config(
    folder: Path, *members: ScriptedMember | Mapping[str, object], **router: object
) -> Config:
    """A whole configuration over scripted members, with its ledger in `folder`."""
    fleet = members or (
        member("small", {"answer": "It is Paris.", "probability": 0.9}),
        member("large", {"answer": "It is 42."}, price=100),
    )
    return Config.model_validate(
        {"fleet": fleet, "router": router, "ledger": {"path": folder / "ledger.sqlite"}}
    )


async def failure_of(work: Awaitable[object]) -> Exception:
    """The error that `work` ends with."""
    try:
        await work
    except Exception as error:  # the tests look at what it is
        return error
    raise AssertionError("it did not fail")
