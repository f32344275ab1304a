"""Pipelines over suites: every prompt goes through a pipeline, and what it says is scored, as in a live run.

What is run is a function from a prompt to a `Ran`; each has a column of the table. A run in which the
pipeline came to no answer counts as wrong; one that the fleet could not serve has no score, and is run again
by the next. Knows nothing of what a pipeline is made of, or of who answers its steps.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from math import fsum, nan
from pathlib import Path
from time import perf_counter
from typing import Any

from pinnace.errors import BackendError, RequestError, TableError
from pinnace.eval.example import Example
from pinnace.eval.journal import Journal
from pinnace.eval.live import LiveRun, Told, partial_path
from pinnace.eval.outcome import Outcome, Summary, failed, summarise, table_of_outcomes
from pinnace.eval.scoring import score
from pinnace.eval.table_file import check_name, write_table
from pinnace.models.together import together

SETTINGS = {"pipelines": 1}
"""What tells the journal of such a run from that of a live run; a number for its format."""
PARTS, FAULT = "parts", "fault"


@dataclass(frozen=True, slots=True)
class Part:
    """What one step took in one run, all the times that it was asked together.

    `metered` of its `calls` know their `joules`; `seconds` are the sum over its `asks`, `confidence` the mean
    over those that know it; `models` counts the calls by who answered.
    """

    step: str
    asks: int
    calls: int
    escalations: int = 0
    usd: float = 0.0
    joules: float = 0.0
    metered: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    confidence: float | None = None
    models: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of one run: its text, what the caller waited, how sure it is, and what its steps took.

    `fault` says why there is no text, where the pipeline came to none.
    """

    text: str
    seconds: float
    confidence: float | None = None
    parts: tuple[Part, ...] = ()
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """One pipeline, one way: `name` is its column, and `made_of` tells whatever its answers depend on beside
    the prompt.

    `run` raises `BackendError` or `RequestError` where the fleet could not serve it; anything else that it
    raises ends the whole run.
    """

    name: str
    run: Callable[[str], Awaitable[Ran]]
    made_of: str = ""


async def run_pipelines(
    examples: Sequence[Example],
    columns: Sequence[Column],
    *,
    concurrency: int = 32,
    on_done: Told = lambda outcome: None,
    out: Path | None = None,
    keep_answers: bool = False,
) -> LiveRun:
    """Run every example through every column, one column after the other, and score what they say.

    :param concurrency: how many runs go on at a time.
    :param on_done: called with every outcome as it is known, those of an earlier run first.
    :param out: where the table is written; finished rows are kept beside it, as `run_live` does.
    :param keep_answers: whether the table has the text of the answers.
    :raises TableError: when two examples share an id, a suite offers tools, the partial file is of another
        run, or `out` does not end as a table must.
    """
    assert concurrency >= 1, concurrency
    if out is not None:
        check_name(out)
    if len({example.id for example in examples}) < len(examples):
        raise TableError("expected examples with ids of their own, got one twice")
    prompts = {example.id: prompt_of(example) for example in examples}
    outcomes: dict[tuple[str, str], Outcome] = {}
    with Journal(partial_path(out) if out else None, SETTINGS) as journal:
        runs = [_Run(column, examples, prompts, journal, on_done) for column in columns]
        summaries = tuple([await run.run(outcomes, concurrency) for run in runs])
    names = [column.name for column in columns]
    table = table_of_outcomes(names, examples, outcomes, keep_answers=keep_answers)
    if out is not None:
        write_table(table, out)
        if not any(summary.failures for summary in summaries):
            journal.remove()
    return LiveRun(table, summaries)


def prompt_of(example: Example) -> str:
    """The one text that a pipeline gets: the suite's system turn, a blank line, and the prompt.

    :raises TableError: when tools belong to it, which no text can give.
    """
    if example.asking.tools:
        raise TableError(f"{example.task}: expected prompts that stand alone, got some that come with tools")
    return "\n\n".join(part for part in (example.asking.system, example.prompt) if part)


class _Run:
    """One column's run over all examples."""

    def __init__(
        self,
        column: Column,
        examples: Sequence[Example],
        prompts: Mapping[str, str],
        journal: Journal,
        on_done: Told,
    ) -> None:
        self._column = column
        self._examples = examples
        self._prompts = prompts
        self._journal = journal
        self._on_done = on_done
        self._boxes = asyncio.Semaphore(os.cpu_count() or 1)

    async def run(self, outcomes: dict[tuple[str, str], Outcome], concurrency: int) -> Summary:
        """Run what is not known yet; all outcomes go into `outcomes`."""
        resumed = self._resumed()
        mine, missing = dict(resumed), [each for each in self._examples if each.id not in resumed]
        left = iter(missing)

        async def work() -> None:
            for example in left:
                mine[example.id] = outcome = await self._outcome_of(example)
                if outcome.error is None:
                    self._journal.add(outcome)
                self._on_done(outcome)

        for outcome in resumed.values():
            self._on_done(outcome)
        began = perf_counter()
        await together([work() for _ in range(min(concurrency, len(missing)))])
        seconds = perf_counter() - began
        name = self._column.name
        outcomes.update({(name, outcome.id): outcome for outcome in mine.values()})
        return summarise(name, [mine[example.id] for example in self._examples], resumed, seconds)

    def _resumed(self) -> dict[str, Outcome]:
        """What an earlier run had of these examples, scored by the rules as they are now."""
        found: dict[str, Outcome] = {}
        for e in self._examples:
            old = self._journal.outcomes.get((self._column.name, e.id))
            if old is not None and old.asked == self._fingerprint(e):
                is_kept = e.rule == "code" or FAULT in (old.evidence or {})  # that code has been run
                new = old.score if is_kept else score(e.rule, old.answer, e.expected, e.choices)
                found[e.id] = replace(old, score=new)
        return found

    def _fingerprint(self, example: Example) -> str:
        asked = self._column.made_of, self._prompts[example.id]
        return sha256(repr(asked).encode()).hexdigest()[:16]

    async def _outcome_of(self, example: Example) -> Outcome:
        try:
            ran = await self._column.run(self._prompts[example.id])
        except (BackendError, RequestError) as error:
            return failed(example, error, self._column.name)
        evidence = evidence_of(ran)
        if example.rejection:
            turned = score(example.rule, ran.text, example.rejection, example.choices)
            evidence["rejected"] = ran.fault is None and turned == 1.0
        return Outcome(
            id=example.id,
            score=await self._score(example, ran),
            cost=fsum(part.usd for part in ran.parts),
            answer=ran.text,
            prompt_tokens=evidence["prompt_tokens"],
            completion_tokens=evidence["completion_tokens"],
            evidence=evidence,
            model=self._column.name,
            asked=self._fingerprint(example),
        )

    async def _score(self, example: Example, ran: Ran) -> float:
        if ran.fault is not None:
            return nan if example.rule == "none" else 0.0
        asked = (example.rule, ran.text, example.expected, example.choices)
        if example.rule != "code":
            return score(*asked)
        async with self._boxes:
            return await asyncio.to_thread(score, *asked)


def evidence_of(ran: Ran) -> dict[str, Any]:
    """What the table's column holds of a run: token counts, seconds, confidence and fault where there are
    any, and its parts."""
    told = {"confidence": ran.confidence, FAULT: ran.fault}
    return {
        "prompt_tokens": sum(part.prompt_tokens for part in ran.parts),
        "completion_tokens": sum(part.completion_tokens for part in ran.parts),
        "seconds": ran.seconds,
        PARTS: [asdict(part) for part in ran.parts],
        **{name: value for name, value in told.items() if value is not None},
    }
