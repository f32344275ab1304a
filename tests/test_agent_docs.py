"""docs/agents.md: its code runs and prints what stands there, and its tables list what there is and no more.

`python tests/test_agent_docs.py` writes onto the page what its code prints.
"""

import asyncio
import contextlib
import inspect
import io
import re
import tempfile
from ast import PyCF_ALLOW_TOP_LEVEL_AWAIT
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import MISSING, Field, fields, replace
from pathlib import Path
from typing import Any

import pytest
from server_fixtures import eventually, house

from pinnace import agents, errors
from pinnace.agents import (
    Fleet,
    Limits,
    Say,
    ScriptedFleet,
    Session,
    Step,
    Strategy,
    Text,
    plan_and_solve,
    tool,
)
from pinnace.agents.fleet import AT_ONCE
from pinnace.agents.local_line import LocalLine
from pinnace.agents.planning import MOST_QUESTIONS
from pinnace.agents.scripted_fleet import LARGE, SMALL
from pinnace.config.server import Limits as ServerLimits
from pinnace.errors import AgentError, ConfigError, LimitError

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "agents.md"
DOCS = PAGE.read_text(encoding="utf-8")
BLOCK = re.compile(r"```python\n(?P<code>.*?)```\n(?:\n```text\n(?P<said>.*?)```\n)?", re.DOTALL)
CONNECTED = re.compile(r"Fleet\.(connect|load)\([^)]*\)")
SECONDS = re.compile(r"\b\d+\.\d\d s\b")

TICKET = '{"subject": "a lost card", "urgency": 4}'
MISREAD = '{"subject": "a lost card", "urgency": 9}'
QUESTIONS = '{"answer": ["How many come on Mondays?", "Who would work?"]}'
SCRIPTS: dict[str, tuple[Say, ...]] = {
    "A first step": (Say("Paris", confidence=0.97, times=2),),
    "Typed outputs": (Say(TICKET), Say("cross"), Say('{"answer": ["block the card"]}')),
    "Who answers, and when it climbs": (
        Say(MISREAD, confidence=0.81),
        Say(TICKET, confidence=0.94, model=LARGE.name),
    ),
    "Strategies": (
        Say([f'{{"answer": {n}}}' for n in (42, 42, 32, 42, 42)], when="17"),
        Say(["Bread, and nothing but bread", "Warm since five", "Our bread rises before you"], when="bakery"),
        Say(['{"answer": 42}', '{"answer": 32}'], when="17"),
        Say(['{"answer": 42}', '{"answer": 42}'], when="17", model=LARGE.name),
    ),
    "Tools": (
        Say(calls={"weather": '{"city": "Bergen"}', "distance": '{"start": "Oslo", "end": "Bergen"}'}),
        Say("It is far, and it rains: take the train.", when="kilometres"),
        Say(calls={"in_stock": '{"item": "rye"}'}),
        Say("Yes, 12 kilos.", when="12 kilos of rye"),
    ),
    "Plan and solve": (
        Say(QUESTIONS, when="Close"),
        Say("Hardly anybody.", when="How many", times=2),
        Say("Two of us.", when="Who would", times=2),
        Say("Yes: hardly anybody comes.", when="Two of us.", times=2),
        Say(QUESTIONS, when="Close"),
    ),
    "Sessions, limits and errors": (Say("Paris", when="France"), Say("Rome", when="Italy")),
    "Streaming": (Say(calls={"weather": '{"city": "Bergen"}'}), Say("Take an umbrella.", when="rain")),
    "Traces": (Say(TICKET),),
    "Fleets": (
        Say("Paris", when="France"),
        Say(TICKET, when="card"),
        Say('{"subject": "a loan", "urgency": 2}', when="loan"),
        Say("Paris", when="France"),
        Say("cross"),
        Say(TICKET, when="card"),
    ),
}
"""What is said in each section of the page; the section on testing brings its own."""
OWN = "Testing"


def run_page(page: str) -> str:
    """The page, with what its code prints in place of what stood there."""
    sections = re.split(r"(?m)^## ", page)
    names: dict[str, Any] = {"__name__": "agents_md"}
    with asyncio.Runner() as runner:
        return "## ".join(run_section(section, names, runner) for section in sections)


def run_section(section: str, names: dict[str, Any], runner: asyncio.Runner) -> str:
    """One section, run with a fleet of its own script, which must be used up."""
    heading = section.partition("\n")[0]
    scripted = ScriptedFleet(*SCRIPTS.get(heading, ()))
    names |= {"fleet": scripted, "scripted": scripted}

    def ran(block: re.Match[str]) -> str:
        code = CONNECTED.sub("scripted", block["code"])
        said = run_block(code, names, runner, f"docs/agents.md, {heading}")
        assert bool(said) == (block["said"] is not None), (block["code"], said)
        told = f"\n```text\n{said}```\n" if said else ""
        return f"```python\n{block['code']}```\n{told}"

    done = BLOCK.sub(ran, section)
    scripted.assert_done()
    return done


def run_block(code: str, names: dict[str, Any], runner: asyncio.Runner, where: str) -> str:
    """What a block prints; the tests that it defines are run as well."""
    before, printed = set(names), io.StringIO()
    with contextlib.redirect_stdout(printed):
        given = eval(compile(code, where, "exec", flags=PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
        if inspect.iscoroutine(given):
            runner.run(given)
        for name in sorted(set(names) - before):
            if name.startswith("test_"):
                runner.run(names[name]())
    return printed.getvalue()


def without_times(page: str) -> str:
    return SECONDS.sub("0.00 s", page)


def rows_below(head: str) -> list[list[str]]:
    """The cells of the table whose first row begins with `head`."""
    _, found, below = DOCS.partition(f"| {head} |")
    assert found, head
    rows = below.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split(" |")] for row in rows]


def named_in(cell: str) -> str:
    """The name that a cell begins with."""
    found = re.match(r"`(\w+)", cell)
    assert found, cell
    return found[1]


def told(default: object) -> str:
    """How a table writes a default."""
    return f"`{getattr(default, '__name__', repr(default))}`"


def default_of(field: "Field[Any]") -> object:
    if field.default is not MISSING:
        return field.default
    assert field.default_factory is not MISSING
    return field.default_factory()


def test_the_code_on_the_page_runs_and_prints_what_stands_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    assert without_times(run_page(DOCS)) == without_times(DOCS)


def test_every_section_with_code_has_a_script_and_the_one_on_testing_its_own() -> None:
    sections = re.split(r"(?m)^## ", DOCS)[1:]
    with_code = {each.partition("\n")[0] for each in sections if "```python" in each}
    assert with_code == {*SCRIPTS, OWN}
    assert "ScriptedFleet(\n" in next(each for each in sections if each.startswith(OWN))


def test_every_public_name_is_on_the_page_and_every_imported_one_is_public() -> None:
    assert [name for name in agents.__all__ if not re.search(rf"\b{name}\b", DOCS)] == []
    imported = re.findall(r"from pinnace\.agents import (.*)", DOCS)
    assert {name.strip() for line in imported for name in line.split(",")} <= set(agents.__all__)


@pytest.mark.parametrize(
    ("head", "found"),
    [
        ("field | what it says | default", {f.name: default_of(f) for f in fields(Step) if f.init}),
        ("`Say` | what it says | default", {f.name: default_of(f) for f in fields(Say)}),
        (
            "`@tool(…)` | what it says | default",
            {n: p.default for n, p in inspect.signature(tool).parameters.items() if n != "function"},
        ),
    ],
    ids=["Step", "Say", "tool"],
)
def test_every_field_is_in_its_table_with_its_default_and_no_other(
    head: str, found: dict[str, object]
) -> None:
    rows = rows_below(head)
    assert {named_in(row[0]): row[-1] for row in rows} == {name: told(value) for name, value in found.items()}


def test_every_limit_and_strategy_is_in_its_table_and_no_other() -> None:
    assert [named_in(row[0]) for row in rows_below("limit | counts")] == [f.name for f in fields(Limits)]
    made = {
        name
        for name in agents.__all__
        if inspect.isfunction(each := getattr(agents, name))
        and (inspect.signature(each).return_annotation is Strategy or each is agents.single)
    }
    assert {named_in(row[0]) for row in rows_below("strategy | what it does")} == made


def test_every_error_of_an_agent_is_in_the_table_and_every_error_there_exists() -> None:
    def below(error: type[Exception]) -> set[str]:
        return {error.__name__, *(name for each in error.__subclasses__() for name in below(each))}

    named = {named_in(row[0]) for row in rows_below("error | means | change")}
    assert named - {"RequestError", "BackendError"} == below(AgentError)
    assert all(issubclass(getattr(errors, name), errors.PinnaceError) for name in named)


def test_the_other_numbers_on_the_page_are_those_of_the_code() -> None:
    assert f"`server.limits.n` ({ServerLimits().n})" in DOCS
    assert f"{AT_ONCE} at a time" in DOCS
    assert inspect.signature(plan_and_solve).parameters["most"].default == MOST_QUESTIONS == 8
    assert "at most eight questions" in DOCS


@asynccontextmanager
async def gated() -> AsyncGenerator[Fleet, None]:
    """A fleet whose small model is sure of capitals alone, behind the real dispatcher."""
    async with house() as place:
        yield Fleet(LocalLine(place.dispatcher))


@pytest.mark.parametrize(
    ("asked", "fields", "rungs"),
    [
        ("The capital?", {}, ("small",)),
        ("The meaning?", {}, ("small", "large")),
        ("The capital?", {"accept": 1.0}, ("small", "large")),
        ("The meaning?", {"accept": 0.0}, ("small",)),
        ("The meaning?", {"model": "small", "accept": 1.0}, ("small",)),
    ],
    ids=["sure", "doubted", "not certain", "the first will do", "named"],
)
async def test_the_gate_climbs_by_its_bar_or_by_the_steps_own(
    asked: str, fields: dict[str, Any], rungs: tuple[str, ...]
) -> None:
    async with gated() as fleet, fleet.session() as run:
        answer = await run.answer(Step(**fields), asked)
    assert answer.account.rungs == rungs
    assert answer.rungs == 1


async def test_without_escalations_the_route_does_not_climb() -> None:
    async with gated() as fleet, fleet.session(Limits(escalations=0)) as run:
        assert (await run.answer(Step(), "The meaning?")).account.rungs == ("small",)


async def test_a_call_that_may_not_fit_is_refused_and_fits_where_its_model_is_named() -> None:
    fleet = ScriptedFleet(Say("yes", times=None))
    step, asked = Step(max_tokens=100), "x" * 20
    async with fleet.session(Limits(tokens=250)) as run:
        with pytest.raises(LimitError) as raised:
            await run.ask(step, asked)
        assert await run.ask(replace(step, model=SMALL.name), asked) == "yes"
    assert raised.value.limit == "tokens"
    assert raised.value.wanted >= 2 * (100 + 20)


async def test_leaving_the_loop_of_a_stream_aborts_what_runs() -> None:
    call = Say(calls={"look": "{}"})
    fleet = ScriptedFleet(call, Say("late", seconds=60))

    async def look() -> str:
        """Look."""
        return "nothing"

    async with fleet.session() as run:
        async for _ in run.stream(Step(tools=[look]), "Look!"):
            await eventually(lambda: fleet.running == 1)
            break
        await eventually(lambda: (fleet.running, fleet.aborted) == (0, 1))


async def test_a_fleet_is_loaded_from_its_file_and_a_wrong_file_says_so(
    fitted_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = Step(model="small")

    async def told(run: Session, asked: str) -> str:
        events = [event async for event in run.stream(small, asked)]
        return "".join(event.text for event in events if isinstance(event, Text))

    async with Fleet.load(fitted_state.parent / "router.yaml") as fleet:
        assert await fleet.ask(small, "The capital of Peru?") == "It is Lima."
        assert await fleet.map(told, ["The capital of Peru?"]) == ["It is Lima."]
        assert [member.name for member in await fleet.line.members()] == ["small", "large"]
    with pytest.raises(ConfigError):
        Fleet.load(tmp_path / "none.yaml")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        PAGE.write_text(run_page(DOCS), encoding="utf-8")
