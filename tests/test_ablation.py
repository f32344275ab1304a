"""Variants of a pipeline: what they are called, and what each changes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.agents import Say, ScriptedFleet, Step, Text, best_of, single, tool, vote
from pinnace.agents.ablation import AS_WRITTEN, Ablation, variants
from pinnace.agents.reply import Member
from pinnace.agents.scripted_fleet import LARGE, SMALL
from pinnace.errors import ConfigError


def test_an_ablation_of_nothing_gives_the_step_itself() -> None:
    step = Step("Add.", strategy=vote(3))
    assert AS_WRITTEN.of(step) is step
    assert Ablation(spare=vote(5)).of(step) is step
    assert Ablation(strategy=single).of(Step("Add.")).strategy is single


def test_an_ablation_changes_what_it_names_and_nothing_else() -> None:
    @tool
    def look(word: str) -> str:
        """Look it up.

        :param word: what.
        """
        return word

    step = Step("Add.", output=int, name="add", tools=[look], strategy=vote(3), accept=0.7)
    four = vote(4)
    changed = Ablation(model="large", strategy=single, spare=four).of(step)
    assert changed == replace(step, model="large", strategy=single, tools=step.offered)
    assert changed.offered[0] is step.offered[0]
    assert Ablation(spare=four).of(Step("Add.")).strategy is four


@pytest.mark.parametrize(
    ("way", "model", "n"),
    [
        ("routed", "auto", 1), ("small", SMALL.name, 1), ("large", LARGE.name, 1), ("single", "auto", 1),
        ("vote=4", "auto", 4), ("large+vote=2", LARGE.name, 2), ("routed+planner=off", "auto", 1),
    ],
)  # fmt: skip
async def test_a_session_asks_every_step_as_its_variant_says(way: str, model: str, n: int) -> None:
    fleet = ScriptedFleet(Say("4", model=LARGE.name if model == LARGE.name else SMALL.name))
    (variant,) = variants(way)
    async with fleet.session(ablation=variant.ablation(await fleet.members())) as run:
        assert await run.ask(Step("Add."), "2 + 2") == "4"
    assert (fleet.models, fleet.requests[0].n) == ([model], n)


async def test_only_single_takes_a_steps_own_strategy_away() -> None:
    step = Step("Add.", strategy=best_of(3))
    for way, n in (("vote=2", 3), ("single", 1)):
        fleet = ScriptedFleet(Say("4"))
        (variant,) = variants(way)
        async with fleet.session(ablation=variant.ablation(await fleet.members())) as run:
            await run.ask(step, "2 + 2")
        assert fleet.requests[0].n == n


async def test_a_voted_step_streams_its_text_once_it_is_settled() -> None:
    fleet = ScriptedFleet(Say(["4", "5", "4"]))
    async with fleet.session(ablation=Ablation(spare=vote(3))) as run:
        events = [event async for event in run.stream(Step("Add."), "2 + 2")]
    assert [event.text for event in events if isinstance(event, Text)] == ["4"]


def test_the_cheapest_and_the_dearest_go_by_price_and_then_by_place() -> None:
    members = [Member("b", 1, 1), Member("a", 1, 1), Member("d", 9, 0), Member("c", 4, 5)]
    small, large = variants("small,large")
    assert (small.ablation(members).model, large.ablation(members).model) == ("b", "d")
    assert small.ablation([Member("only")]).model == "only"
    with pytest.raises(ConfigError, match="'small': expected a price of every model, 'x' has none"):
        small.ablation([Member("x"), Member("y", 1, 1)])
    with pytest.raises(ConfigError, match="a fleet that lists its models, got none"):
        large.ablation([])


SIZES = st.sampled_from([(), ("routed",), ("small",), ("large",)])
VOTES = st.one_of(st.just(()), st.just(("single",)), st.integers(2, 99).map(lambda n: (f"vote={n}",)))
OWN = st.dictionaries(st.sampled_from(["planner", "notes", "k"]), st.sampled_from(["on", "off", "", "a=b"]))


@given(SIZES, VOTES, OWN, st.randoms())
def test_every_variant_that_is_written_properly_is_read(size, votes, own, random) -> None:
    words = [*size, *votes, *(f"{name}={value}" for name, value in own.items())] or ["routed"]
    random.shuffle(words)
    (found,) = variants("+".join(words))
    assert found.name == "+".join(words)
    assert found.words == own
    assert found.size == (size[0] if size and size != ("routed",) else None)
    assert found.votes == (None if not votes else 1 if votes == ("single",) else int(votes[0][5:]))


@pytest.mark.parametrize(
    "text",
    [
        "", "smal", "routed,", "small+large", "routed+small", "single+vote=3", "vote=1", "vote=", "vote",
        "vote=x", "single=2", "small=1", "1a=2", "a=1+a=2", "small+small", "small,small",
    ],
)  # fmt: skip
def test_every_other_variant_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected"):
        variants(text)
