"""Who is asked in a live run: members, solved examples before the prompt, and the route."""

import json

import numpy as np
import pytest
from router_fixtures import AxisEmbedder, small_state
from server_fixtures import member

from pinnace.config import Config, Policy, ScriptedMember
from pinnace.errors import BackendUnavailableError, ConfigError, TableError
from pinnace.eval.asked_fleet import asked_fleet
from pinnace.eval.asker import Entrant, MemberAsker, RouteAsker, entrants
from pinnace.eval.asking import Asking, Shot, fingerprint, request_of
from pinnace.eval.example import Example
from pinnace.eval.live import partial_path, run_live
from pinnace.eval.matrix import matrix_of
from pinnace.models.completion import Delta, Usage
from pinnace.models.fleet import Fleet
from pinnace.models.scripted import ScriptedBackend
from pinnace.router.dispatch import Dispatcher
from pinnace.router.embedding_queue import EmbeddingQueue
from pinnace.router.router import Router

POOL = tuple(Shot(f"Say {n}", str(n)) for n in range(4))
ADD = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
ASKING = Asking(system="Be brief.", intro="Say numbers.", shots=1, pool=POOL, tools=(ADD,))


def example(n, prompt="Say 9", **fields):
    given = {"expected": "9", "rule": "number", "choices": (), "max_tokens": 4, "split": "held"}
    return Example(**{"id": f"e-{n}", "task": "say", "prompt": prompt, "question": prompt, **given, **fields})


def asked(prompt="Say 9", **fields):
    return request_of(ASKING, prompt, name="e", max_tokens=4, seed=1, **fields)


def scripted(answer="It is 9", **reply):
    return ScriptedBackend(member("small", {"answer": answer, **reply}))


def test_names_may_ask_for_solved_examples():
    assert entrants("a, b@5,auto") == (Entrant("a", "a"), Entrant("b@5", "b", 5), Entrant("auto", "auto"))
    for wrong in ("", "a,,b", "a@x", "a@33"):
        with pytest.raises(ConfigError, match=r"--models: expected names such as 'a,b@5,auto'"):
            entrants(wrong)
    with pytest.raises(ConfigError, match="expected every name once"):
        entrants("a,a")


def test_solved_examples_come_before_the_prompt_as_turns():
    turns = [(m.role, m.content) for m in asked(shots=2).messages]
    assert turns == [
        ("system", "Be brief.\n\nSay numbers."),
        ("user", "Say 0"),
        ("assistant", "0"),
        ("user", "Say 1"),
        ("assistant", "1"),
        ("user", "Say 9"),
    ]
    assert len(asked().messages) == 4
    assert [m.content for m in asked(shots=0).messages] == ["Be brief.", "Say 9"]


def test_a_prompt_is_never_its_own_example():
    assert [m.content for m in asked("Say 0", shots=2).messages[1:]] == ["Say 1", "1", "Say 2", "2", "Say 0"]


def test_a_request_is_greedy_and_has_the_tools():
    request = asked()
    assert (request.temperature, request.seed, request.top_logprobs, request.tools) == (0.0, 1, 2, (ADD,))


def test_a_fingerprint_tells_what_an_answer_depends_on():
    assert fingerprint(asked()) == fingerprint(asked())
    assert len({fingerprint(each) for each in (asked(), asked(shots=0), asked("Say 8"))}) == 3


async def test_members_and_their_examples_stand_side_by_side(tmp_path):
    backend = scripted()
    askers = [MemberAsker(backend), MemberAsker(backend, Entrant("small@3", "small", 3))]
    examples = [example(n, f"Say 9 again, {n}", asking=ASKING) for n in range(3)]
    run = await run_live(examples, askers, out=tmp_path / "t.jsonl")
    assert run.table.models == ("small", "small@3")
    assert [summary.asked for summary in run.summaries] == [3, 3]
    assert sorted({len(request.messages) for request in backend.requests}) == [4, 8]
    np.testing.assert_equal(run.table.scores, np.ones((3, 2)))
    assert (run.table.costs[:, 1] > run.table.costs[:, 0]).all()
    assert not partial_path(tmp_path / "t.jsonl").exists()


async def test_more_examples_than_there_are_are_refused_before_anything_is_asked():
    backend = scripted()
    with pytest.raises(
        TableError, match="small@5: expected 5 solved examples to put before a prompt, say has 4"
    ):
        await run_live([example(1, asking=ASKING)], [MemberAsker(backend, Entrant("small@5", "small", 5))])
    assert backend.requests == []


async def test_rows_whose_suite_has_too_few_are_left_out():
    rows = [example(1, asking=ASKING), example(2, "Say 9 now")]
    run = await run_live(rows, [MemberAsker(scripted(), Entrant("small@2", "small", 2))], keep_answers=True)
    np.testing.assert_equal(run.table.scores[:, 0], [1.0, np.nan])
    assert run.table.evidence["small@2"][1] is None
    assert run.table.answers["small@2"][1] is None
    assert (run.summaries[0].asked, run.summaries[0].skipped) == (1, 1)


async def test_a_row_that_would_be_asked_otherwise_is_asked_again(tmp_path):
    out = tmp_path / "t.jsonl"
    broken = scripted(fault="cut", fault_after=1)
    examples = [example(1, "Say one: 9"), example(2)]
    first = ScriptedBackend(
        member("small", {"when": "one", "answer": "9"}, {"answer": "9", "fault": "refuse"})
    )
    await run_live(examples, [MemberAsker(first)], out=out)
    again = scripted()
    changed = [example(1, "Say one: 9", asking=Asking(system="Loudly.")), example(2)]
    await run_live(changed, [MemberAsker(again)], out=out)
    assert sorted(request.id for request in again.requests) == ["e-1", "e-2"]
    assert broken.requests == []


class CallingBackend:
    """A fake that answers with tool calls, whole."""

    def __init__(self, *calls):
        self.card = scripted().card
        self.calls = calls

    async def start(self): ...

    async def drain(self): ...

    async def stream(self, request):
        pieces = [
            {
                "index": i,
                "id": f"c{i}",
                "type": "function",
                "function": {"name": name, "arguments": arguments},
            }
            for i, (name, arguments) in enumerate(self.calls)
        ]
        yield Delta(tool_calls=pieces)
        yield Delta(finish_reason="tool_calls", usage=Usage(3, 4))


GOLD = json.dumps(
    {
        "functions": {"add": {"required": ["a"], "types": {"a": ["integer", None]}}},
        "calls": [{"add": {"a": [1, 2]}}],
    }
)


@pytest.mark.parametrize(
    ("calls", "right", "answer"),
    [
        ([("add", '{"a": 2}')], 1.0, '[{"name": "add", "arguments": {"a": 2}}]'),
        ([("add", '{"a": 3}')], 0.0, '[{"name": "add", "arguments": {"a": 3}}]'),
        ([("add", '{"a": ')], 0.0, '[{"name": "add", "arguments": "{\\"a\\": "}]'),
        ([], 0.0, ""),
    ],
)
async def test_calls_are_scored_and_kept_as_json(calls, right, answer):
    one = example(1, expected=GOLD, rule="calls", asking=Asking(tools=(ADD,)))
    table = (await run_live([one], [MemberAsker(CallingBackend(*calls))], keep_answers=True)).table
    assert table.scores.item() == right
    assert table.answers["small"] == (answer,)


async def test_code_is_run_beside_the_loop():
    gold = json.dumps({"before": "", "name": "", "tests": "assert x == 9"})
    one = example(1, expected=gold, rule="code", max_tokens=8)
    assert (await run_live([one], [MemberAsker(scripted("x = 9"))])).table.scores.item() == 1.0
    assert (await run_live([one], [MemberAsker(scripted("x = 8"))])).table.scores.item() == 0.0


async def test_an_answer_that_says_out_of_scope_is_marked():
    labels = ("nine", "out of scope")
    rows = [
        example(1, expected="nine", rule="label", choices=labels, rejection="out of scope"),
        example(2, "x", expected="out of scope", rule="label", choices=labels, rejection="out of scope"),
    ]
    table = (await run_live(rows, [MemberAsker(scripted("Out of scope."))])).table
    assert [evidence["rejected"] for evidence in table.evidence["small"]] == [True, True]
    assert table.scores[:, 0].tolist() == [0.0, 1.0]


async def test_the_route_says_who_answered_and_what_all_its_rungs_cost():
    small = scripted("It is 9", probability=0.4)
    large = ScriptedBackend(member("large", {"answer": "It is surely 9"}, price=100))
    router = Router(small_state(), EmbeddingQueue(AxisEmbedder()), Policy())
    dispatcher = Dispatcher(Fleet({"small": small, "large": large}), router)
    await dispatcher.start()
    try:
        examples = [example(n, f"What is the capital of Xyzzyland {n}?") for n in range(2)]
        run = await run_live(examples, [RouteAsker(dispatcher)])
    finally:
        await dispatcher.drain()
    assert run.table.models == ("auto",)
    for evidence, cost in zip(run.table.evidence["auto"], run.table.costs[:, 0], strict=True):
        assert evidence["answered_by"] in ("small", "large")
        assert 0 <= evidence["confidence"] <= 1
        tried = small.requests and large.requests
        assert evidence["escalated"] is bool(tried)
        assert cost > 0
    routes = matrix_of(run.table, draws=100)["routes"]["say"]
    assert routes["rows"] == 2
    assert sum(routes["shares"].values()) == pytest.approx(1)


def config(*members: ScriptedMember):
    return Config(fleet=members)


async def test_only_who_is_asked_is_started():
    members = config(member("small", {"answer": "9"}), member("other", {"answer": "8"}))
    async with asked_fleet(members, entrants("small@2,small")) as askers:
        assert [asker.entrant.name for asker in askers] == ["small@2", "small"]
    with pytest.raises(ConfigError, match="--models: expected some of small, other, auto, got 'gpt'"):
        async with asked_fleet(members, entrants("small,gpt")):
            pass


async def test_a_member_that_cannot_serve_is_told_before_anything_is_asked(monkeypatch):
    async def fail(self):
        raise BackendUnavailableError("no room")

    monkeypatch.setattr(ScriptedBackend, "start", fail)
    with pytest.raises(Exception, match="no room"):
        async with asked_fleet(config(member("small", {"answer": "9"})), entrants("small")):
            pass
