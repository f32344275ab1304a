"""Growing, from a plan to what serves: train, measure, fit, decide, and register what has earned its place.

Each step leaves what it has done in a folder of its own, so that the same command goes on where it was
stopped. Nothing that serves is touched before the very end.
"""

import asyncio
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import count
from time import perf_counter

import numpy as np

from pinnace.eval.embedding_cache import embed_cached
from pinnace.eval.example import Example
from pinnace.eval.gate_rows import EmbeddedTexts
from pinnace.eval.grow.answers import told
from pinnace.eval.grow.candidates import (
    FORMER,
    Trained,
    former_fleet,
    growing_fleet,
    renewed_fleet,
    teacher_accuracy,
    trained_domain,
)
from pinnace.eval.grow.earning import verdict_of
from pinnace.eval.grow.measuring import measure_domain, planned_requests
from pinnace.eval.grow.outcome import GrownDomain, Growth
from pinnace.eval.grow.plan import GrowthPlan, Options, PlannedDomain
from pinnace.eval.grow.refit import GrownFit, NewDomain, grown_fit, grown_table, teacher_scores
from pinnace.eval.grow.registry import grown_members, register
from pinnace.eval.grow.routing import Routed, routed
from pinnace.eval.grow.setting import Setting
from pinnace.eval.grow.tools import Told, Tools
from pinnace.eval.live import Settings
from pinnace.eval.outcome import Outcome
from pinnace.models.fleet import Fleet
from pinnace.models.training.report import StepTaken
from pinnace.router.state import RouterState

FORMER_ROWS = 300
"""Rows that the former routing is asked, of the calibration and of the holdout rows of each domain."""


class Growing:
    """One growth. `run` it once."""

    def __init__(
        self, setting: Setting, plan: GrowthPlan, options: Options, tools: Tools, watcher: Told
    ) -> None:
        self._setting = setting
        self._plan = plan
        self._options = options
        self._tools = tools
        self._watcher = watcher
        self._began = perf_counter()
        self._settings = Settings(hold_tokens=setting.state.hold_tokens, seed=options.seed)
        of = " ".join([*(domain.of for domain in plan.domains), setting.of, str(options.keep)])
        self._work = setting.folder / "work" / sha256(of.encode()).hexdigest()[:12]

    def run(self) -> Growth:
        """All of it, to the end."""
        trained = [self._trained(domain) for domain in self._plan.domains]
        growth = asyncio.run(self._measured(trained)) if trained else self._nothing()
        shutil.rmtree(self._work, ignore_errors=True)
        return growth

    def _trained(self, domain: PlannedDomain) -> Trained:
        done = self._watcher.begin(f"training {domain.name}", None)

        def on_step(step: StepTaken) -> None:
            done(step.step * 100 // step.steps)

        out = self._work / domain.name
        report = self._tools.train(domain.rows, self._tools.base, out, domain.settings, on_step=on_step)
        return trained_domain(self._setting, domain, report, self._tools)

    async def _measured(self, trained: Sequence[Trained]) -> Growth:
        """Measure in one engine, fit and decide while it runs, and register in the end."""
        fleet = growing_fleet(self._setting, trained, self._tools)
        starting = self._watcher.begin("starting the engine", None)
        try:
            await fleet.start()
            starting(100)
            new = await self._domains(fleet, trained)
            former, state = former_fleet(fleet, trained), self._setting.state
            before = await self._on_holdout(trained, former, state, "before", FORMER_ROWS)
            was = [await self._calibrating(each, former) for each in trained]
            fitted = await asyncio.to_thread(self._fit, new)
            domains = self._judged(trained, new, was, fitted, fleet)
            earned = [one for one, each in zip(new, domains, strict=True) if each.verdict.is_registered]
            if 0 < len(earned) < len(new):
                fitted = await asyncio.to_thread(self._fit, earned)
            after = await self._after(trained, fleet, fitted, [each.name for each in earned])
        finally:
            await fleet.drain()
        return self._registered(self._told(trained, domains, before, after), fitted)

    async def _domains(self, fleet: Fleet, trained: Sequence[Trained]) -> list[NewDomain]:
        setting, candidates = self._setting, [each.candidate for each in trained]
        known = [n for n in fleet.backends if n != setting.teacher.name and not n.endswith(FORMER)]
        total = planned_requests(candidates, len(known) - 1, setting.table)
        on_done = self._counting("measuring", total)
        new: list[NewDomain] = []
        for each in trained:
            others = [name for name in known if name != each.name]
            folder = self._work / f"{each.name}.measured"
            measured = await measure_domain(
                each.candidate, fleet, others, setting.table, folder, self._settings, on_done
            )
            answers = [told(one.row.answer) for one in each.plan.split.calibration]
            scores = teacher_scores(each.candidate.calibration, answers, self._tools.count)
            new.append(NewDomain(each.name, measured, each.plan.split.train, scores))
        return new

    def _fit(self, new: Sequence[NewDomain]) -> GrownFit:
        done = self._watcher.begin("fitting the router state", None)
        table = grown_table(self._setting, new)
        fitted = grown_fit(
            self._setting, table, self._embedded(table.prompts), self._options.keep, self._options.seed
        )
        done(100)
        return fitted

    def _judged(
        self,
        trained: Sequence[Trained],
        new: Sequence[NewDomain],
        was: Sequence[Routed],
        fitted: GrownFit,
        fleet: Fleet,
    ) -> list[GrownDomain]:
        found: list[GrownDomain] = []
        for each, one, former in zip(trained, new, was, strict=True):
            verdict = verdict_of(
                self._setting, each.candidate, one, fitted, former, fleet.cards(), self._options.keep
            )
            scores = one.measured.domain.scores[:, one.measured.domain.models.index(one.name)]
            accuracy = float(np.nan_to_num(scores).mean())
            teachers = float(one.teacher[:, 0].mean())
            found.append(GrownDomain(each.plan, each.report, accuracy, teachers, verdict))
        return found

    async def _after(
        self, trained: Sequence[Trained], fleet: Fleet, fitted: GrownFit, names: Sequence[str]
    ) -> Routed | None:
        """The new routing on the holdout; None where nothing has earned its place."""
        if not names:
            return None
        renewed = renewed_fleet(fleet, self._setting, trained, names, fitted.bars)
        return await self._on_holdout(trained, renewed, fitted.fit.state, "after", None)

    async def _on_holdout(
        self, trained: Sequence[Trained], fleet: Fleet, state: RouterState, what: str, most: int | None
    ) -> Routed:
        return await self._route([row for each in trained for row in each.held[:most]], fleet, state, what)

    async def _calibrating(self, each: Trained, fleet: Fleet) -> Routed:
        rows = each.candidate.calibration[:FORMER_ROWS]
        return await self._route(rows, fleet, self._setting.state, f"former-{each.name}")

    async def _route(
        self, examples: Sequence[Example], fleet: Fleet, state: RouterState, what: str
    ) -> Routed:
        return await routed(
            examples,
            fleet,
            state,
            self._setting.config.router.policy,
            await asyncio.to_thread(self._embedded, [each.routed for each in examples]),
            self._settings,
            out=self._work / f"{what}.parquet",
            on_done=self._counting(f"routing ({what})", len(examples)),
        )

    def _embedded(self, prompts: Sequence[str]) -> EmbeddedTexts:
        embedder = self._tools.embedder
        return EmbeddedTexts(embedder.name, tuple(prompts), embed_cached(embedder, prompts))

    def _counting(self, what: str, total: int) -> Callable[[Outcome], None]:
        done, number = self._watcher.begin(what, total), count(1)
        return lambda outcome: done(next(number))

    def _told(
        self,
        trained: Sequence[Trained],
        domains: Sequence[GrownDomain],
        before: Routed,
        after: Routed | None,
    ) -> Growth:
        return Growth(
            plan=self._plan,
            domains=tuple(domains),
            before=before,
            after=after,
            teacher=self._setting.teacher.name,
            is_absent=self._setting.is_absent,
            teacher_accuracy=teacher_accuracy(trained),
            seconds=perf_counter() - self._began,
        )

    def _nothing(self) -> Growth:
        """What came of a plan without domains."""
        return self._told((), (), Routed((), np.zeros(0), np.zeros(0)), None)

    def _registered(self, growth: Growth, fitted: GrownFit) -> Growth:
        """Write what has earned its place where the fleet finds it."""
        setting, earned = self._setting, [each for each in growth.domains if each.verdict.is_registered]
        if not earned:
            return growth
        members = grown_members(setting, earned, fitted.bars, self._work)
        generation = register(setting.folder, members, fitted.fit.state, fitted.table, growth.as_dict())
        return replace(growth, generation=generation, seconds=perf_counter() - self._began)
