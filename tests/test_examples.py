"""The examples: on a script, over HTTP and with real models, and what pyright makes of them."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator, Sequence
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from questions import QUESTIONS
from real_server import ROOT, Running, free_port, pinnace_serve, stand_in_large, wait_ready
from server_fixtures import ScriptedDispatcher, house, member, on_a_socket, scripted_fleet

from pinnace.agents import Fleet, Limits, Say, ScriptedFleet, best_of
from pinnace.agents.local_line import LocalLine
from pinnace.agents.scripted_fleet import LARGE
from pinnace.config import Server
from pinnace.errors import BackendUnavailableError, OutputError
from pinnace.server.app import create_app

EXAMPLES = ROOT / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py"))
ADDRESS = "http://127.0.0.1:8000"
MOST_LINES = 40
TYPED = """
from typing import assert_type

import escalate_one_step
import extraction_at_scale
import planner_solver
import tool_agent
import vote_and_best_of

from pinnace.agents import Answer, Fleet, Session, Step


async def check(fleet: Fleet, run: Session) -> None:
    assert_type(planner_solver.PLAN, Step[list[str]])
    assert_type(await run.ask(planner_solver.PLAN, ""), list[str])
    assert_type(await planner_solver.pipeline(run, ""), str)
    assert_type(await planner_solver.main(fleet), str)
    assert_type(await run.answer(tool_agent.OFFER, ""), Answer[tool_agent.Offer])
    assert_type(await tool_agent.main(fleet), tool_agent.Offer)
    assert_type(await run.ask(vote_and_best_of.MOOD, ""), vote_and_best_of.Mood)
    assert_type(await run.ask(vote_and_best_of.REPLY, ""), str)
    assert_type(await vote_and_best_of.main(fleet), tuple[Answer[vote_and_best_of.Mood], str])
    assert_type(await run.ask(extraction_at_scale.READ, ""), extraction_at_scale.Order)
    assert_type(await fleet.map(extraction_at_scale.read, [""]), list[extraction_at_scale.Order | None])
    assert_type(await extraction_at_scale.main(fleet), list[extraction_at_scale.Order | None])
    assert_type(await run.answer(escalate_one_step.SURE, ""), Answer[str])
    assert_type(await escalate_one_step.main(fleet), tuple[Answer[str], Answer[str]])
    reveal_type(await run.ask(tool_agent.OFFER, ""))
"""
WRONG = """
import tool_agent

from pinnace.agents import Session


async def check(run: Session) -> str:
    return await run.ask(tool_agent.OFFER, "")
"""


def example(name: str) -> ModuleType:
    """The example of that name, as a module."""
    spec = spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_examples_and_each_is_short_and_connects() -> None:
    assert set(NAMES) == set(PROBES) == set(re.findall(r"^import (\w+)$", TYPED, re.MULTILINE))
    for name in NAMES:
        source = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
        assert len(source.splitlines()) < MOST_LINES, name
        _, found, below = source.partition('\nif __name__ == "__main__":\n')
        assert found, name
        assert f'Fleet.connect("{ADDRESS}")' in below, name


async def test_the_planners_questions_are_solved_side_by_side_and_written_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On a script alone: a model of 135M plans nothing that would be worth solving."""
    module = example("planner_solver")
    questions = ["How many come?", "What does it cost?", "Who works?", "Who else is open?", "What is new?"]
    fleet = ScriptedFleet(
        Say(json.dumps({"answer": questions}), when=module.REQUEST),
        *(Say(f"{number}.", when=question) for number, question in enumerate(questions[:4])),
        Say("Yes, close.", when="A: 3."),
    )
    assert await module.main(fleet) == "Yes, close."
    fleet.assert_done()
    notes = fleet.requests[-1].text()
    assert notes.startswith(module.REQUEST)
    assert "Q: What does it cost?\nA: 1." in notes
    assert "What is new?" not in notes
    assert capsys.readouterr().out.count("step  solve") == 4


async def test_the_agent_calls_its_tools_and_makes_an_offer_of_what_they_say() -> None:
    module = example("tool_agent")
    calls = {"in_stock": '{"item": "flour"}', "price": '{"item": "flour"}'}
    fleet = ScriptedFleet(Say(calls=calls), Say('{"kilos": 12, "euros": 14.4}', when="1.20 euros"))
    assert await module.main(fleet) == module.Offer(kilos=12, euros=14.4)
    first, last = fleet.requests
    assert [tool["function"]["name"] for tool in first.tools] == ["in_stock", "price"]
    assert [turn.content for turn in last.messages if turn.role == "tool"] == [
        "flour: 12 kilos in stock",
        "flour: 1.20 euros a kilo",
    ]


async def test_the_vote_that_agrees_is_taken_and_the_shortest_reply_wins() -> None:
    module = example("vote_and_best_of")
    votes = Say(["cross", "cross", "calm", "cross", "cross"])
    fleet = ScriptedFleet(votes, Say(["We are sorry.", "Sorry!", "Oh, how sorry we are!", "Sorry, sorry."]))
    mood, reply = await module.main(fleet)
    assert (mood.value, mood.confidence, mood.rungs) == (module.Mood.CROSS, 0.8, 1)
    assert reply == "Sorry!"
    assert [request.n for request in fleet.requests] == [5, 4]


async def test_the_vote_that_disagrees_climbs() -> None:
    module = example("vote_and_best_of")
    split = Say(["cross", "calm", "angry", "calm", "cross"])
    fleet = ScriptedFleet(split, Say("Sorry!"), Say("cross", model=LARGE.name))
    mood, _ = await module.main(fleet)
    assert (mood.value, mood.confidence, mood.rungs) == (module.Mood.CROSS, 1.0, 2)
    assert mood.account.model == LARGE.name


async def test_a_thousand_messages_are_read_in_order_and_one_that_cannot_be_read_stops_nobody() -> None:
    module = example("extraction_at_scale")
    order = json.dumps({"item": "rye bread", "count": 2})
    fleet = ScriptedFleet(
        Say("no order", when="nonsense", times=1),
        Say("no order", when="nonsense", times=1, model=LARGE.name),
        Say(order, times=None, seconds=0.001),
    )
    messages = ["2 loaves of rye bread, please."] * 1000
    messages[500] = "nonsense"
    found = await module.main(fleet, messages)
    assert [at for at, each in enumerate(found) if each is None] == [500]
    assert set(map(type, found)) == {module.Order, type(None)}
    assert len(fleet.requests) == 1001


async def test_what_no_model_could_answer_at_all_is_raised() -> None:
    module = example("extraction_at_scale")
    fleet = ScriptedFleet(Say(fault=BackendUnavailableError("down"), times=None))
    with pytest.raises(BackendUnavailableError):
        await module.main(fleet)


async def test_one_step_takes_the_first_answer_and_the_other_climbs_past_it() -> None:
    """The gate is the router's, which a script has not: here it is the real dispatcher's."""
    module = example("escalate_one_step")
    async with house() as place:
        quick, sure = await module.main(Fleet(LocalLine(place.dispatcher)), "The capital?")
    assert (quick.account.rungs, quick.account.escalated) == (("small",), False)
    assert (sure.account.rungs, sure.account.escalated) == (("small", "large"), True)
    assert (quick.account.confidence or 0) < module.SURE.accept
    assert sure.value == "It is 42."


async def test_both_steps_are_asked_the_same_by_the_router(capsys: pytest.CaptureFixture[str]) -> None:
    module = example("escalate_one_step")
    fleet = ScriptedFleet(Say("Sydney."), Say("Canberra.", model=LARGE.name))
    quick, sure = await module.main(fleet)
    assert (quick.value, sure.value) == ("Sydney.", "Canberra.")
    assert fleet.models == ["auto", "auto"]
    assert [request.accept for request in fleet.requests] == [0.0, module.SURE.accept]
    first, second = (replace(request, id="", accept=None) for request in fleet.requests)
    assert first == second
    assert "step  sure" in capsys.readouterr().out


PROBES: dict[str, tuple[Sequence[dict[str, object]], str]] = {
    "escalate_one_step": ([{"when": "Australia", "answer": "It is Canberra."}], "It is Canberra."),
    "extraction_at_scale": ([{"answer": '{"item": "rye", "count": 2}'}], "Order(item='rye', count=2)"),
    "planner_solver": (
        [
            {"when": "Q: ", "answer": "Close on Mondays."},
            {"when": "bakery", "answer": '{"answer": ["How many come?"]}'},
            {"when": "How many", "answer": "Four."},
        ],
        "Close on Mondays.",
    ),
    "tool_agent": ([{"answer": '{"kilos": 12, "euros": 14.4}'}], "kilos=12 euros=14.4"),
    "vote_and_best_of": ([{"answer": "cross"}], "<Mood.CROSS: 'cross'>"),
}
"""By example what a scripted server says, and what is then printed."""


@pytest.mark.parametrize("name", NAMES)
async def test_run_as_a_script_it_asks_the_server_at_its_address(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    script, printed = PROBES[name]
    fleet = scripted_fleet(member("small", *script))
    small: Any = fleet.backends["small"]
    small.card = replace(small.card, tools=True, json_schema=True)
    dispatcher = ScriptedDispatcher(fleet)
    await dispatcher.start()
    source = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    async with on_a_socket(create_app(dispatcher, Server())) as port:
        code = compile(source.replace(ADDRESS, f"http://127.0.0.1:{port}"), f"{name}.py", "exec")
        await asyncio.to_thread(exec, code, {"__name__": "__main__"})
    await dispatcher.drain()
    assert printed in capsys.readouterr().out


def diagnostics(folder: Path, **files: str) -> list[tuple[str, str, str]]:
    """File, severity and words of what pyright says, in strict mode, of the examples and of `files`."""
    shutil.copytree(EXAMPLES, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    config = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "extraPaths": [str(ROOT)]}
    (folder / "pyrightconfig.json").write_text(json.dumps(config), encoding="utf-8")
    environ = os.environ | {"PYRIGHT_PYTHON_GLOBAL_NODE": "0", "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson"]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    told: Any = json.loads(done.stdout)
    assert told["summary"]["filesAnalyzed"] == len(NAMES) + len(files)
    return [
        (Path(each["file"]).stem, each["severity"], each["message"]) for each in told["generalDiagnostics"]
    ]


def test_pyright_infers_the_output_types_of_every_example_in_strict_mode(tmp_path: Path) -> None:
    told = diagnostics(tmp_path, typed=TYPED, wrong=WRONG)
    revealed = [said for name, severity, said in told if (name, severity) == ("typed", "information")]
    assert [said.partition(" is ")[2] for said in revealed] == ['"Offer"']
    ((name, said),) = [(name, said) for name, severity, said in told if severity != "information"]
    assert name == "wrong"
    assert '"Offer" is not assignable to "str"' in said


@pytest.fixture(scope="module")
def large_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, large_port: int) -> Generator[Running, None, None]:
    """The fleet that ships; its large model is there while a test runs the stand-in on `large_port`."""
    environ = {
        "PINNACE_LARGE_URL": f"http://127.0.0.1:{large_port}/v1",
        "PINNACE_LARGE_KEY": "stand-in-key",
        "HF_HUB_OFFLINE": "1",
    }
    folder = tmp_path_factory.mktemp("examples")
    with pinnace_serve(ROOT / "router.yaml", folder, environ) as running:
        wait_ready(running)
        yield running


@pytest.mark.real
async def test_really_one_step_climbs_to_the_large_model_and_the_other_does_not(
    server: Running, large_port: int, tmp_path: Path
) -> None:
    """First of the real ones: those after it have no large model, and its breaker opens."""
    module = example("escalate_one_step")
    asked = QUESTIONS[:20]
    with stand_in_large(large_port, tmp_path):
        async with Fleet.connect(server.url) as fleet:
            pairs = await asyncio.gather(*(module.main(fleet, question.text) for question in asked))
    climbed = 0
    for question, (quick, sure) in zip(asked, pairs, strict=True):
        assert not quick.account.escalated
        assert len(quick.account.rungs) == 1
        if sure.account.model == "large":
            assert sure.value == f"The answer is {question.gold}."
            climbed += len(sure.account.rungs) > 1
        else:
            assert sure.confidence >= module.SURE.accept
    assert climbed, [sure.account.rungs for _, sure in pairs]


@pytest.mark.real
async def test_really_every_message_becomes_an_order(server: Running) -> None:
    """What is pinned is the form: what a model of 135M reads out of a message is often not what it says."""
    module = example("extraction_at_scale")
    async with Fleet.connect(server.url) as fleet:
        found = await module.main(fleet)
    assert len(found) == len(module.MESSAGES)
    assert {type(each) for each in found} == {module.Order}


@pytest.mark.real
async def test_really_a_vote_is_a_share_of_five_and_the_likeliest_answer_has_a_score(server: Running) -> None:
    module = example("vote_and_best_of")
    async with Fleet.connect(server.url) as fleet, fleet.session() as run:
        mood, reply = await module.main(fleet)
        likeliest = await run.answer(replace(module.REPLY, strategy=best_of(4)), module.LETTER)
    assert isinstance(mood.value, module.Mood)
    assert mood.confidence in (3 / 5, 4 / 5, 5 / 5)
    assert isinstance(reply, str)
    assert re.fullmatch(r"the best of 4, scored -\d.*", likeliest.why)


@pytest.mark.real
async def test_really_every_call_fits_its_tool_and_every_answer_its_type(server: Running) -> None:
    """Whether to call, and what to make of it, is beyond a model of 135M: what it writes has the form."""
    module = example("tool_agent")
    tools, faults = 0, list[str]()
    async with Fleet.connect(server.url) as fleet:
        for kilos in range(2, 8):
            async with fleet.session(Limits(escalations=0)) as run:  # the large model is not there
                try:
                    offer = await run.ask(module.OFFER, f"{kilos} kilos of flour, please. What do they cost?")
                    assert isinstance(offer, module.Offer)
                except OutputError as error:
                    faults.append(str(error))
            spans = run.trace.spans()
            assert [span.error for span in spans if span.kind != "step" and span.error] == []
            tools += sum(span.kind == "tool" for span in spans)
    assert all("max_turns=4" in fault for fault in faults), faults
    print(f"{tools} tools were called")
