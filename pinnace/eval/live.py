"""A live run: real prompts through real models, scored, with the evidence in every answer.

Asks greedily and with log-probabilities, a bounded number at a time, one model after the other over the same
engine. A request that fails is an outcome too: no score, and its reason in the summary. Knows nothing of
suites, routes or progress bars.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

from pinnace.errors import BackendError, RequestError, TableError
from pinnace.eval.asker import Asker, Entrant
from pinnace.eval.asking import fingerprint, request_of
from pinnace.eval.example import Example
from pinnace.eval.journal import Journal
from pinnace.eval.outcome import Outcome, Summary, failed, summarise, table_of_outcomes
from pinnace.eval.reply import Reply, evidence_in
from pinnace.eval.scoring import score
from pinnace.eval.table import OutcomeTable
from pinnace.eval.table_file import check_name, write_table
from pinnace.models.completion import Request

Told = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True)
class LiveRun:
    """What a live run leaves: its outcome table, in the order of the examples, and figures per model."""

    table: OutcomeTable
    summaries: tuple[Summary, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """`concurrency`: how many requests run at once. `hold_tokens`: how many first tokens the `prefix`
    evidence is taken from."""

    concurrency: int = 32
    hold_tokens: int = 16
    seed: int = 0


async def run_live(
    examples: Sequence[Example],
    askers: Sequence[Asker],
    settings: Settings = Settings(),
    *,
    on_done: Told = lambda outcome: None,
    out: Path | None = None,
    keep_answers: bool = False,
) -> LiveRun:
    """Ask every asker every example and score the answers.

    :param on_done: called with every outcome as it is known, those of an earlier run first.
    :param out: where the table is written. Finished rows are kept in `<out>.partial.jsonl` meanwhile and
        not asked again by the next run; the file goes when every request has been answered, so running
        again after failures asks only the failed. A row that would be asked otherwise now is asked again.
    :param keep_answers: whether the table has the text of the answers.
    :raises TableError: when two examples share an id, the partial file is of another run, `out` does not end
        as a table must, or an asker wants solved examples and no suite has so many. Rows of suites that do
        not have them are left out of its column.
    """
    assert settings.concurrency >= 1, settings
    if out is not None:
        check_name(out)
    if len({example.id for example in examples}) < len(examples):
        raise TableError("expected examples with ids of their own, got one twice")
    kept = {"hold_tokens": settings.hold_tokens, "seed": settings.seed}
    outcomes: dict[tuple[str, str], Outcome] = {}
    with Journal(partial_path(out) if out else None, kept) as journal:
        runs = [_Run(asker, examples, settings, journal, on_done) for asker in askers]
        summaries = tuple([await run.run(outcomes) for run in runs])
    names = [asker.entrant.name for asker in askers]
    table = table_of_outcomes(names, examples, outcomes, keep_answers=keep_answers)
    if out is not None:
        write_table(table, out)
        if not any(summary.failures for summary in summaries):
            journal.remove()
    return LiveRun(table, summaries)


def partial_path(out: Path) -> Path:
    """Where the finished rows of an unfinished run that writes `out` are kept."""
    return out.with_name(f"{out.name}.partial.jsonl")


class _Run:
    """One asker's run over all examples."""

    def __init__(
        self, asker: Asker, examples: Sequence[Example], settings: Settings, journal: Journal, on_done: Told
    ) -> None:
        self._asker = asker
        self._name = asker.entrant.name
        self._examples = askable(examples, asker.entrant)
        self._skipped = len(examples) - len(self._examples)
        self._requests = {e.id: _request(e, asker, settings) for e in self._examples}
        self._settings = settings
        self._journal = journal
        self._on_done = on_done
        self._boxes = asyncio.Semaphore(os.cpu_count() or 1)

    async def run(self, outcomes: dict[tuple[str, str], Outcome]) -> Summary:
        """Ask what is not known yet; all outcomes go into `outcomes`."""
        resumed = self._resumed()
        mine = dict(resumed)

        def record(outcome: Outcome) -> None:
            mine[outcome.id] = outcome
            if outcome.error is None:
                self._journal.add(outcome)
            self._on_done(outcome)

        for outcome in resumed.values():
            self._on_done(outcome)
        left = [example for example in self._examples if example.id not in resumed]
        began = perf_counter()
        await _ask_all(left, self._outcome_of, record, self._settings.concurrency)
        seconds = perf_counter() - began
        outcomes.update({(self._name, outcome.id): outcome for outcome in mine.values()})
        rows = [mine[example.id] for example in self._examples]
        return summarise(self._name, rows, resumed, seconds, skipped=self._skipped)

    def _resumed(self) -> dict[str, Outcome]:
        """What an earlier run had of these examples, scored by the rules as they are now."""
        found: dict[str, Outcome] = {}
        for e in self._examples:
            old = self._journal.outcomes.get((self._name, e.id))
            if old is not None and old.asked == fingerprint(self._requests[e.id], self._asker.votes):
                is_run = e.rule == "code"  # to run all that code again says nothing new
                new = old.score if is_run else score(e.rule, old.answer, e.expected, e.choices)
                found[e.id] = replace(old, score=new)
        return found

    async def _outcome_of(self, example: Example) -> Outcome:
        try:
            reply = await self._asker.ask(self._requests[example.id])
        except (BackendError, RequestError) as error:
            return failed(example, error, self._name)
        return await self._scored(example, reply)

    async def _scored(self, example: Example, reply: Reply) -> Outcome:
        asked = (example.rule, reply.text, example.expected, example.choices)
        if example.rule == "code":
            async with self._boxes:
                right = await asyncio.to_thread(score, *asked)
        else:
            right = score(*asked)
        evidence = evidence_in(reply, self._settings.hold_tokens) | _rejection(example, reply.text)
        return Outcome(
            id=example.id,
            score=right,
            cost=reply.cost,
            answer=reply.text,
            finish_reason=reply.finish,
            prompt_tokens=evidence["prompt_tokens"],
            completion_tokens=evidence["completion_tokens"],
            evidence=evidence,
            model=self._name,
            asked=fingerprint(self._requests[example.id], self._asker.votes),
        )


def _rejection(example: Example, answer: str) -> dict[str, bool]:
    """Whether the answer says that the prompt is out of scope; nothing where its set has no such answer."""
    if not example.rejection:
        return {}
    return {"rejected": score(example.rule, answer, example.rejection, example.choices) == 1.0}


def askable(examples: Sequence[Example], entrant: Entrant) -> list[Example]:
    """Those of `examples` whose suites have as many solved examples as `entrant` asks for.

    :raises TableError: when no suite has.
    """
    found = [example for example in examples if (entrant.shots or 0) <= len(example.asking.pool)]
    if examples and not found:
        tasks = ", ".join(dict.fromkeys(example.task for example in examples))
        raise TableError(
            f"{entrant.name}: expected {entrant.shots} solved examples to put before a prompt, {tasks} has "
            f"{max(len(example.asking.pool) for example in examples)}"
        )
    return found


def _request(example: Example, asker: Asker, settings: Settings) -> Request:
    return request_of(
        example.asking,
        example.prompt,
        name=example.id,
        max_tokens=example.max_tokens,
        seed=settings.seed,
        shots=asker.entrant.shots,
    )


async def _ask_all(
    examples: Sequence[Example],
    ask_one: Callable[[Example], Awaitable[Outcome]],
    record: Told,
    concurrency: int,
) -> None:
    """Ask `concurrency` examples at a time: workers that draw from one line."""
    line = iter(examples)

    async def work() -> None:
        for example in line:
            record(await ask_one(example))

    async with asyncio.TaskGroup() as workers:
        for _ in range(min(concurrency, len(examples))):
            workers.create_task(work())
