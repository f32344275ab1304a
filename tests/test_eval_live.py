"""Live runs on the shipped scripted backend: scores, evidence, failures, and going on after a stop."""

import asyncio
import json
import math
from collections.abc import AsyncIterator

import numpy as np
import pytest

from pinnace.config import Price, ScriptedMember, ScriptedReply
from pinnace.errors import TableError
from pinnace.eval.asker import MemberAsker
from pinnace.eval.example import Example
from pinnace.eval.live import LiveRun, Settings, partial_path, run_live
from pinnace.eval.outcome import Outcome
from pinnace.eval.table_file import read_table
from pinnace.models.completion import Delta, Request, TokenLogprob, Usage
from pinnace.models.scripted import ScriptedBackend
from pinnace.router.evidence import evidence_of


def sum_of(left: int, right: int) -> Example:
    asked = f"What is {left} + {right}?"
    return Example(
        f"sum-{left}-{right}", "sums", asked, str(left + right), "number", (), 6, "fit", question=asked
    )


SUMS = [sum_of(1, 1), sum_of(2, 2), sum_of(3, 3), sum_of(4, 4)]
RIGHT = ScriptedReply(when="1 + 1", answer="It is 2", probability=0.9)
WRONG = ScriptedReply(when="2 + 2", answer="It is 5", probability=0.6)
LONG = ScriptedReply(when="3 + 3", answer="Let me count them all one by one: 6", probability=0.7)
CUT = ScriptedReply(when="4 + 4", answer="It is 8", fault="cut", fault_after=1)
WHOLE = ScriptedReply(when="4 + 4", answer="It is 8")


def scripted(*script: ScriptedReply) -> ScriptedBackend:
    return ScriptedBackend(
        ScriptedMember(name="toy", backend="scripted", price=Price(input=1e6, output=2e6), script=script)
    )


async def run_one(
    examples, backend, *, out=None, on_done=lambda outcome: None, keep_answers=False, **settings
):
    """A run of one member."""
    return await run_live(
        examples,
        [MemberAsker(backend)],
        Settings(**settings),
        on_done=on_done,
        out=out,
        keep_answers=keep_answers,
    )


def summary_of(run: LiveRun):
    (summary,) = run.summaries
    return summary


async def test_a_run_scores_and_prices_every_answer():
    backend = scripted(RIGHT, WRONG, LONG, CUT)
    run = await run_one(SUMS, backend, hold_tokens=2)
    assert run.table.ids == tuple(example.id for example in SUMS)
    assert run.table.models == ("toy",)
    assert run.table.splits == ("fit",) * 4
    np.testing.assert_equal(run.table.scores, [[1.0], [0.0], [0.0], [np.nan]])
    np.testing.assert_equal(run.table.costs, [[5 + 2 * 3], [5 + 2 * 3], [5 + 2 * 6], [np.nan]])
    assert run.table.answers == {}


async def test_it_asks_greedily_with_log_probabilities():
    backend = scripted(RIGHT)
    await run_one(SUMS[:1], backend, seed=7)
    (request,) = backend.requests
    assert (request.text(), request.max_tokens, request.id) == ("What is 1 + 1?", 6, "sum-1-1")
    assert (request.temperature, request.top_logprobs, request.seed) == (0.0, 2, 7)


async def test_the_evidence_is_of_the_whole_answer_and_of_its_first_tokens():
    table = (await run_one(SUMS[:3], scripted(RIGHT, WRONG, LONG), hold_tokens=3)).table
    right, _, long = table.evidence["toy"]
    assert right["prefix"] == right["whole"]
    assert right["whole"]["mean"] == pytest.approx(math.log(0.9))
    assert (right["whole"]["finished"], right["prefix"]["finished"]) == (1.0, 1.0)
    assert (long["whole"]["finished"], long["prefix"]["finished"]) == (0.0, 0.0)
    assert long["prefix"]["length"] == pytest.approx(math.log1p(3))
    assert (long["completion_tokens"], long["prompt_tokens"]) == (6, 5)


async def test_the_summary_tells_failures_and_throughput():
    summary = summary_of(await run_one(SUMS, scripted(RIGHT, WRONG, LONG, CUT)))
    assert (summary.model, summary.asked, summary.resumed, summary.scored) == ("toy", 4, 0, 3)
    assert summary.mean_score == pytest.approx(1 / 3)
    assert (summary.prompt_tokens, summary.completion_tokens, summary.cut) == (15, 12, 1)
    assert summary.cost_usd == 39
    assert summary.tokens_per_s == pytest.approx(12 / summary.seconds)
    ((name, reason),) = summary.failures
    assert name == "sum-4-4"
    assert reason == "BackendUnavailableError: toy: scripted cut after 1 tokens"


async def test_a_run_of_nothing_is_an_empty_table():
    run = await run_one([], scripted(RIGHT))
    assert len(run.table) == 0
    assert math.isnan(summary_of(run).mean_score)


@pytest.mark.parametrize("concurrency", [1, 3, 50])
async def test_no_more_than_so_many_run_at_once(concurrency):
    running: list[int] = []
    backend = scripted(ScriptedReply(answer="It is 2", token_s=0.001))
    await run_one(
        [sum_of(i, i) for i in range(12)],
        backend,
        concurrency=concurrency,
        on_done=lambda outcome: running.append(backend.running),
    )
    assert len(running) == 12
    assert max(running) < concurrency + 1
    assert backend.running == 0
    assert max(running) >= min(concurrency, 12) - 1


async def test_a_finished_run_leaves_its_table_alone(tmp_path):
    out = tmp_path / "runs" / "toy.parquet"
    run = await run_one(SUMS[:3], scripted(RIGHT, WRONG, LONG), out=out, keep_answers=True)
    assert [path.name for path in out.parent.iterdir()] == ["toy.parquet"]
    written = read_table(out)
    assert repr(written.columns()) == repr(run.table.columns())
    assert written.answers["toy"] == ("It is 2", "It is 5", "Let me count them all one ")


async def test_after_failures_only_the_failed_are_asked_again(tmp_path):
    out = tmp_path / "toy.jsonl"
    first = await run_one(SUMS, scripted(RIGHT, WRONG, LONG, CUT), out=out)
    assert np.isnan(read_table(out).scores[3, 0])
    assert len(summary_of(first).failures) == 1
    assert partial_path(out).exists()
    backend, done = scripted(WHOLE), []
    second = await run_one(SUMS, backend, out=out, on_done=lambda outcome: done.append(outcome.id))
    assert [request.id for request in backend.requests] == ["sum-4-4"]
    assert done == [example.id for example in SUMS]
    assert (summary_of(second).resumed, summary_of(second).completion_tokens) == (3, 3)
    np.testing.assert_equal(second.table.scores, [[1.0], [0.0], [0.0], [1.0]])
    assert second.table.evidence["toy"][:3] == first.table.evidence["toy"][:3]
    assert not partial_path(out).exists()


async def test_a_stopped_run_goes_on_where_it_was(tmp_path):
    out = tmp_path / "toy.jsonl"
    stalled = scripted(RIGHT, WRONG, ScriptedReply(when="3 + 3", answer="It is 6", fault="stall"))
    second_done = asyncio.Event()

    def note(outcome: Outcome) -> None:
        if outcome.id == "sum-2-2":
            second_done.set()

    task = asyncio.create_task(run_one(SUMS[:3], stalled, concurrency=1, out=out, on_done=note))
    await second_done.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not out.exists()
    assert stalled.running == 0
    with partial_path(out).open("ab") as file:
        file.write(b'{"id": "sum-3-3", "sco')
    backend = scripted(LONG)
    run = await run_one(SUMS[:3], backend, out=out)
    assert [request.id for request in backend.requests] == ["sum-3-3"]
    np.testing.assert_equal(run.table.scores, [[1.0], [0.0], [0.0]])


async def test_rows_taken_over_are_scored_by_the_rules_as_they_are_now(tmp_path):
    out = tmp_path / "toy.jsonl"
    await run_one([SUMS[1], SUMS[3]], scripted(WRONG, CUT), out=out)
    five = Example("sum-2-2", "sums", SUMS[1].prompt, "5", "number", (), 6, "fit", SUMS[1].question)
    run = await run_one([five], scripted(RIGHT), out=out)
    assert run.table.scores.item() == 1.0


async def test_an_unfinished_run_with_other_settings_is_refused(tmp_path):
    out = tmp_path / "toy.jsonl"
    await run_one(SUMS, scripted(RIGHT, WRONG, LONG, CUT), out=out, hold_tokens=16)
    with pytest.raises(TableError, match="unfinished run with other settings"):
        await run_one(SUMS, scripted(WHOLE), out=out, hold_tokens=8)


@pytest.mark.parametrize("line", [b"nope", b"[1, 2]", b'{"id": "x"}', b'{"score": 1, "cost": 1, "x": 2}'])
async def test_a_broken_partial_file_is_refused(tmp_path, line):
    out = tmp_path / "toy.jsonl"
    await run_one(SUMS, scripted(RIGHT, WRONG, LONG, CUT), out=out)
    partial_path(out).write_bytes(partial_path(out).read_bytes() + line + b"\n")
    with pytest.raises(TableError, match=r"partial\.jsonl: expected"):
        await run_one(SUMS, scripted(WHOLE), out=out)


async def test_what_cannot_end_well_is_refused_before_anything_is_asked(tmp_path):
    backend = scripted(RIGHT)
    with pytest.raises(TableError, match="expected a name that ends in"):
        await run_one(SUMS, backend, out=tmp_path / "toy.xlsx")
    with pytest.raises(TableError, match="got one twice"):
        await run_one([SUMS[0], SUMS[0]], backend)
    assert backend.requests == []


class TerseBackend:
    """A fake remote server that gives neither log-probabilities nor, unless told, usage and an ending."""

    def __init__(self, *deltas: Delta) -> None:
        self.card = scripted(RIGHT).card
        self.deltas = deltas

    async def start(self) -> None: ...

    async def drain(self) -> None: ...

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        for delta in self.deltas:
            yield delta


async def test_an_answer_without_log_probabilities_has_no_features():
    backend = TerseBackend(Delta("It is 2"), Delta(finish_reason="stop", usage=Usage(5, 3)))
    table = (await run_one(SUMS[:1], backend)).table
    evidence = table.evidence["toy"][0]
    assert evidence == {"whole": None, "prefix": None, "completion_tokens": 3, "prompt_tokens": 5}
    assert (table.scores.item(), table.costs.item()) == (1.0, 11.0)


async def test_an_answer_without_usage_has_no_cost(tmp_path):
    token = TokenLogprob("2", -0.1, (("2", -0.1), ("3", -2.5)))
    backend = TerseBackend(Delta("2", logprobs=(token,), finish_reason="stop"))
    table = (await run_one(SUMS[:1], backend, out=tmp_path / "t.jsonl")).table
    assert math.isnan(table.costs.item())
    whole = table.evidence["toy"][0]["whole"]
    assert whole == evidence_of([token], "stop").as_dict()
    assert json.loads((tmp_path / "t.jsonl").read_text())["cost:toy"] is None


async def test_an_answer_that_just_ends_is_a_failure():
    run = await run_one(SUMS[:1], TerseBackend(Delta("It is 2")))
    assert math.isnan(run.table.scores.item())
    assert summary_of(run).failures == (
        ("sum-1-1", "BackendError: toy: the answer ended without a finish reason"),
    )


async def test_a_fault_in_the_callback_stops_the_run():
    def complain(outcome: object) -> None:
        raise RuntimeError("the bar is broken")

    backend = scripted(ScriptedReply(answer="It is 2", token_s=0.001))
    with pytest.raises(ExceptionGroup) as caught:
        await run_one(SUMS, backend, on_done=complain)
    assert caught.group_contains(RuntimeError, match="the bar is broken")
    assert backend.running == 0
