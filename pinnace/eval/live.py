"""A live run: real prompts through a real backend, scored, with the evidence in every answer.

Asks greedily and with log-probabilities, a bounded number at a time. A request that fails is an outcome
too: no score, and its reason in the summary. Knows nothing of suites, routes or progress bars.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import nan
from pathlib import Path
from time import perf_counter
from typing import Any

from pinnace.errors import BackendError, RequestError, TableError
from pinnace.eval.example import Example
from pinnace.eval.journal import Journal
from pinnace.eval.outcome import Outcome, Summary, failed, summarise, table_of_outcomes
from pinnace.eval.scoring import score
from pinnace.eval.table import OutcomeTable
from pinnace.eval.table_file import check_name, write_table
from pinnace.models.backend import Backend
from pinnace.models.completion import Delta, FinishReason, Message, Request, TokenLogprob
from pinnace.router.evidence import evidence_of

TOP_LOGPROBS = 2


@dataclass(frozen=True, slots=True)
class LiveRun:
    """What a live run leaves: its outcome table, in the order of the examples, and its figures."""

    table: OutcomeTable
    summary: Summary


async def run_live(
    examples: Sequence[Example],
    backend: Backend,
    *,
    concurrency: int = 32,
    hold_tokens: int = 16,
    seed: int = 0,
    on_done: Callable[[Outcome], None] = lambda outcome: None,
    out: Path | None = None,
    keep_answers: bool = False,
) -> LiveRun:
    """Ask a started backend every example and score the answers.

    :param concurrency: how many requests run at once.
    :param hold_tokens: how many first tokens the `prefix` evidence is taken from.
    :param on_done: called with every outcome as it is known, those of an earlier run first.
    :param out: where the table is written. Finished rows are kept in `<out>.partial.jsonl` meanwhile and
        not asked again by the next run; the file goes when every request has been answered, so running
        again after failures asks only the failed.
    :param keep_answers: whether the table has the text of the answers.
    :raises TableError: when two examples share an id, the partial file is of another run, or `out` does
        not end as a table must.
    """
    assert concurrency >= 1, concurrency
    if out is not None:
        check_name(out)
    if len({example.id for example in examples}) < len(examples):
        raise TableError("expected examples with ids of their own, got one twice")
    model = backend.card.name
    settings = {"model": model, "hold_tokens": hold_tokens, "seed": seed}
    with Journal(partial_path(out) if out else None, settings) as journal:
        resumed = _rescored(journal.outcomes, examples)
        outcomes = dict(resumed)

        def record(outcome: Outcome) -> None:
            outcomes[outcome.id] = outcome
            if outcome.error is None:
                journal.add(outcome)
            on_done(outcome)

        for outcome in resumed.values():
            on_done(outcome)
        began = perf_counter()
        left = [example for example in examples if example.id not in resumed]
        await _ask_all(left, partial(_outcome_of, backend, hold_tokens, seed), record, concurrency)
        seconds = perf_counter() - began
    table = table_of_outcomes(model, examples, outcomes, keep_answers=keep_answers)
    summary = summarise(model, [outcomes[example.id] for example in examples], resumed, seconds)
    if out is not None:
        write_table(table, out)
        if not summary.failures:
            journal.remove()
    return LiveRun(table, summary)


def partial_path(out: Path) -> Path:
    """Where the finished rows of an unfinished run that writes `out` are kept."""
    return out.with_name(f"{out.name}.partial.jsonl")


async def _ask_all(
    examples: Sequence[Example],
    ask_one: Callable[[Example], Awaitable[Outcome]],
    record: Callable[[Outcome], None],
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


async def _outcome_of(backend: Backend, hold_tokens: int, seed: int, example: Example) -> Outcome:
    try:
        return await ask(example, backend, hold_tokens=hold_tokens, seed=seed)
    except (BackendError, RequestError) as error:
        return failed(example, error)


async def ask(example: Example, backend: Backend, *, hold_tokens: int, seed: int) -> Outcome:
    """Ask one example and score the answer.

    :raises BackendError: when the backend cannot answer, or ends without saying why.
    :raises RequestError: when it does not take the request.
    """
    request = Request(
        messages=(Message("user", example.prompt),),
        id=example.id,
        max_tokens=example.max_tokens,
        temperature=0.0,
        seed=seed,
        top_logprobs=TOP_LOGPROBS,
    )
    deltas = [delta async for delta in backend.stream(request)]
    reasons: list[FinishReason] = [delta.finish_reason for delta in deltas if delta.finish_reason is not None]
    if not reasons:
        raise BackendError(f"{backend.card.name}: the answer ended without a finish reason")
    return _outcome(example, backend, deltas, reasons[-1], hold_tokens)


def _outcome(
    example: Example, backend: Backend, deltas: Sequence[Delta], finish: FinishReason, hold_tokens: int
) -> Outcome:
    answer = "".join(delta.text for delta in deltas)
    tokens = [token for delta in deltas for token in delta.logprobs]
    usage = next((delta.usage for delta in reversed(deltas) if delta.usage), None)
    counts = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, len(tokens))
    return Outcome(
        id=example.id,
        score=score(example.rule, answer, example.expected, example.choices),
        cost=backend.card.cost(usage) if usage else nan,
        answer=answer,
        finish_reason=finish,
        prompt_tokens=counts[0],
        completion_tokens=counts[1],
        evidence={
            "whole": _features(tokens, finish),
            "prefix": _features(tokens[:hold_tokens], finish if len(tokens) <= hold_tokens else None),
            "completion_tokens": counts[1],
            "prompt_tokens": counts[0],
        },
    )


def _features(tokens: Sequence[TokenLogprob], finish: FinishReason | None) -> Mapping[str, Any] | None:
    evidence = evidence_of(tokens, finish)
    return evidence.as_dict() if evidence else None


def _rescored(outcomes: Mapping[str, Outcome], examples: Sequence[Example]) -> dict[str, Outcome]:
    """Those of `outcomes` that belong to `examples`, scored by the rules as they are now."""
    return {
        e.id: replace(outcomes[e.id], score=score(e.rule, outcomes[e.id].answer, e.expected, e.choices))
        for e in examples
        if e.id in outcomes
    }
