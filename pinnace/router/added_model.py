"""A model that joins a fitted state, from its own scored rows: nothing of the other models is touched.

Its estimate is described by theirs (`QualityHeads.with_model`), in the heads of all rows and in those of each
fold; its lengths, means per cluster, gate and gains are fitted as they are in a full fit. Calibration rows
know it where its rows are the state's own; else none does, and a floor or a budget over a fleet with it finds
no row to be calibrated on. Values in, values out: reads no file and embeds nothing.
"""

from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_limits  # pyright: ignore

from pinnace.router.added_report import AddedModel, report_added
from pinnace.router.calibration_rows import CalibrationRows
from pinnace.router.escalation import EscalationGains, fit_gains
from pinnace.router.estimators.learner import Rows, numbered
from pinnace.router.estimators.quality import QualityHeads
from pinnace.router.estimators.request import COIN
from pinnace.router.estimators.tables import group_means, mean_of_groups
from pinnace.router.expectation import Expectation
from pinnace.router.fit import FitRows, as_served, spread_of
from pinnace.router.gate import Gate
from pinnace.router.gate_fit import GateFit, GateRows, fit_gates
from pinnace.router.recognition import Recognised, expected_tokens, recognise
from pinnace.router.state import RouterState, as_loaded
from pinnace.router.types import FloatArray

MIN_SCORED = 50
"""Scored rows below which no model is added: estimates of fewer are hardly better than their mean."""
OWN_SHARE = 0.99
"""Share of its rows that must be recognised as the state's own, for what the state knows of them to be used:
those that can be told apart are not like the others."""


def add_model(
    state: RouterState, rows: FitRows, model: str, *, seed: int = 0
) -> tuple[RouterState, AddedModel]:
    """The state with `model` as its last one; the same rows and seed give the same state, to the last bit.

    :param rows: some in which `model` is scored, and with it any others; those without its score are
        passed over.
    """
    assert model not in state.models, model
    rows = rows.take(np.flatnonzero(~np.isnan(rows.scores[:, rows.models.index(model)])))
    assert len(rows.prompts) >= MIN_SCORED, len(rows.prompts)
    with threadpool_limits(1):
        return _Addition(state, rows, model, seed).done()


class _Addition:
    """One model's addition: its n rows, (n, ...), as the state sees them, and what is fitted of it."""

    def __init__(self, state: RouterState, rows: FitRows, model: str, seed: int) -> None:
        self.state, self.rows, self.model, self.seed = state, rows, model, seed
        self.scores = rows.scores[:, rows.models.index(model)]
        self.features = state.expectation.see(rows.prompts, rows.vectors)
        self.familiarity = state.clusters.familiarity(rows.vectors)
        self.members = np.argmax(rows.vectors @ state.clusters.centroids.T, axis=1)
        company = _columns(rows, state.models)
        self.found = recognise(state, rows.prompts, rows.vectors, self.features, company)
        is_known = self.found.at >= 0
        self.own = np.flatnonzero(is_known if is_known.mean() >= OWN_SHARE else np.zeros_like(is_known))
        self.company = company
        theirs = state.calibration.scores[self.found.at[self.own]]
        self.company[self.own] = np.where(np.isnan(company[self.own]), theirs, company[self.own])
        self.expectation, self.held_out = _expectation(self._learnt(), state.expectation, self.found, seed)

    def done(self) -> tuple[RouterState, AddedModel]:
        state, k = self.state, len(self.state.clusters.labels)
        lengths = self._lengths()
        quality, quality_sd = group_means(self.scores[:, None], self.members, k)
        tokens, _ = group_means(lengths[:, None], self.members, k)
        mean = mean_of_groups(self.scores[:, None], self.members, k)[0]
        overall = np.array([[float(mean), float(np.nanmean(lengths))]])
        gates = self._gates(overall[:, 0], k)
        grown = replace(
            state,
            models=(*state.models, self.model),
            quality=np.hstack([state.quality, quality]),
            quality_sd=np.hstack([state.quality_sd, quality_sd]),
            output_tokens=np.hstack([state.output_tokens, tokens]),
            confidences=np.concatenate(
                [state.confidences, spread_of(gates.confidences, self.members, k)], axis=1
            ),
            overall=np.vstack([state.overall, overall]),
            gate=_joined(state.gate, gates.gate),
            expectation=self.expectation,
            gains=self._gains(k),
        )
        calibration, calibrated = self._calibration(grown, lengths)
        added = report_added(
            self.model,
            self.scores,
            self.held_out,
            self.found,
            calibrated=calibrated,
            familiarity=float(self.familiarity.mean()),
            gate=gates.metrics,
        )
        return as_loaded(replace(grown, calibration=calibration)), added

    def _learnt(self) -> Rows:
        rows = self.rows
        groups, dim = numbered(rows.prompts), rows.vectors.shape[1]
        return Rows(self.features, self.scores[:, None], numbered(rows.tasks), groups, dim)

    def _lengths(self) -> FloatArray:
        """Completion tokens, (n,): where none of its own are known, those of the others on the row."""
        at = self.rows.models.index(self.model)
        own = self.rows.output_tokens[:, at]
        if not np.isnan(own).all():
            return own
        others = np.delete(self.rows.output_tokens, at, axis=1)
        known = ~np.isnan(others)
        mean = np.where(known, others, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        expected = expected_tokens(self.state, self.rows.vectors).mean(axis=1)
        return np.where(known.any(axis=1), mean, expected)

    def _gates(self, mean: FloatArray, k: int) -> GateFit:
        rows = self.rows
        judged = GateRows(
            (self.model,),
            rows.prompts,
            self.scores[:, None],
            as_served(self.held_out[:, None], self.familiarity, mean),
            rows.evidence,
            *self.state.clusters.membership(rows.vectors),
        )
        return fit_gates(judged, k=k, seed=self.seed)

    def _gains(self, k: int) -> EscalationGains:
        """The gains between the known as they are, and with the new one from the rows where both ran."""
        found = fit_gains(np.hstack([self.company, self.scores[:, None]]), self.members, k)
        found.gain[:, :-1, :-1] = self.state.gains.gain
        found.half[:, :-1, :-1] = self.state.gains.half
        return found

    def _calibration(self, grown: RouterState, lengths: FloatArray) -> tuple[CalibrationRows, int]:
        """The calibration rows with a column more, and on how many of them the new model ran.

        On the others its score is NaN, and what is expected of it there, its means, is never looked at.
        """
        rows, known = self.state.calibration, self.own
        at, (mean, mean_tokens) = self.found.at[known], grown.overall[-1].tolist()
        expected = expected_tokens(grown, self.rows.vectors)[known, -1]
        written = np.where(np.isnan(lengths[known]), expected, lengths[known])

        def column(array: FloatArray, values: FloatArray, otherwise: float) -> FloatArray:
            new = np.full((len(array), 1), otherwise)
            new[at, 0] = values
            return np.hstack([array, new])

        calibration = CalibrationRows(
            quality=column(rows.quality, self.held_out[known], mean),
            scores=column(rows.scores, self.scores[known], np.nan),
            prompt_tokens=rows.prompt_tokens,
            expected_tokens=column(rows.expected_tokens, expected, mean_tokens),
            output_tokens=column(rows.output_tokens, written, mean_tokens),
        )
        return calibration, len(known)


def _expectation(
    rows: Rows, before: Expectation, found: Recognised, seed: int
) -> tuple[Expectation, FloatArray]:
    """The expectation with one model more, and its estimates of the rows by heads that had not seen them."""
    held_out = np.zeros(len(rows.scores))
    folds: list[QualityHeads] = []
    for fold, heads in enumerate(before.folds):
        held = found.folds == fold
        rest = rows if held.all() else rows.take(~held)
        folds.append(heads.with_model(rest, random_state=seed))
        held_out[held] = folds[-1].predict(rows.features[held])[:, -1]
    known = len(held_out) + 1
    squares = float(((rows.scores[:, 0] - held_out) ** 2).sum())
    residual = (squares + COIN) / known * (before.rows / known)  # as `RequestEstimator` has it
    grown = replace(
        before,
        heads=before.heads.with_model(rows, random_state=seed),
        folds=tuple(folds),
        residual=np.append(before.residual, residual),
    )
    return grown, held_out


def _columns(rows: FitRows, models: tuple[str, ...]) -> FloatArray:
    """The rows' scores of these models, (n, m), NaN where there are none."""
    columns = [
        rows.scores[:, rows.models.index(model)]
        if model in rows.models
        else np.full(len(rows.prompts), np.nan)
        for model in models
    ]
    return np.stack(columns, axis=1)


def _joined(known: Gate, new: Gate) -> Gate:
    return Gate(
        {**known.whole, **new.whole},
        {**known.prefix, **new.prefix},
        {**known.references, **new.references},
    )
