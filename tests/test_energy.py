"""Joules and their sources: no figure without one, measured before declared, and what a shape foretells."""

from pathlib import Path
from typing import Any

import pytest
from config_fixtures import complaint, large, refusal, small
from router_fixtures import ROW, cascade_of, run, scripted
from server_fixtures import ASK, House, house, member
from shape_fixtures import model_folder
from test_server_seeing import with_energy

from pinnace.config import Energy
from pinnace.errors import WeightsError
from pinnace.models.card import ModelCard, card_of
from pinnace.models.completion import Usage
from pinnace.models.energy.estimate import PUBLISHED, Load, Physics, battery, estimated
from pinnace.models.energy.joules import Joules, by_tokens, joules_of, source_of, sum_of
from pinnace.models.shapes.card import read_shape
from pinnace.models.shapes.shape import Shape

FIGURES = Energy(input=100, output=400, source="a watt meter")
SHAPE = Shape(
    layers=30,
    width=576,
    heads=9,
    kv_heads=3,
    head_size=64,
    vocabulary=49152,
    window=8192,
    is_tied=True,
    total=134_515_008,
    embedding=28_311_552,
    table=28_311_552,
    dtype_bytes=2,
    weight_bytes=269_030_016,
)


def card(energy: Energy | None) -> ModelCard:
    return card_of(member("m", {"answer": "a"}).model_copy(update={"energy": energy}), backend="scripted")


def test_figures_per_token_carry_their_basis_and_source() -> None:
    assert joules_of(card(FIGURES), Usage(10, 5)) == Joules(3.0, "declared: a watt meter")
    calibrated = FIGURES.model_copy(update={"basis": "calibrated"})
    assert joules_of(card(calibrated), Usage(10, 5)) == Joules(3.0, "calibrated: a watt meter")


def test_what_a_meter_gave_comes_before_figures() -> None:
    energy = FIGURES.model_copy(update={"meter": "rapl"})
    assert joules_of(card(energy), Usage(10, 5, 0.25)) == Joules(0.25, "measured: rapl")
    assert joules_of(card(energy), Usage(10, 5)) == Joules(3.0, "declared: a watt meter")


@pytest.mark.parametrize("of", [None, card(None), card(Energy(meter="nvml:1"))])
def test_what_nobody_says_is_none(of: ModelCard | None) -> None:
    assert joules_of(of, Usage(10, 5)) is None


def test_a_meter_alone_is_its_own_source() -> None:
    assert source_of(Energy(meter="nvml:1")) == "measured: nvml:1"
    assert by_tokens(Energy(meter="nvml:1"), 1, 1) is None


def test_a_sum_that_lacks_something_says_so() -> None:
    parts = [("small", 2.0, "measured: rapl"), ("small", 1.0, "measured: rapl"), ("large", None, "")]
    assert sum_of(parts) == (3.0, "small: measured: rapl; large: unknown")
    assert sum_of([("large", None, "")]) == (None, "")


REFUSED = [
    {"input": 1, "output": 2},
    {"source": "a meter"},
    {},
    {"meter": "rapl", "input": 1},
]


@pytest.mark.parametrize("energy", REFUSED, ids=str)
def test_a_bare_claim_is_refused_in_the_configuration(energy: dict[str, Any]) -> None:
    assert "energy: expected input, output and source together, or a meter" in complaint(small(energy=energy))


def test_what_may_be_configured() -> None:
    whole = {"input": 1, "output": 2, "source": "s", "basis": "estimated"}
    for energy in (
        whole,
        {"meter": "rapl"},
        {"meter": "nvml"},
        {"meter": "nvml:3"},
        whole | {"meter": "rapl"},
    ):
        assert refusal(small(energy=energy)) == ""


@pytest.mark.parametrize(
    "energy", [{"meter": "socket"}, {"meter": "nvml:x"}, {"basis": "measured"}, {"output": -1}]
)
def test_what_is_no_energy_is_refused(energy: dict[str, Any]) -> None:
    whole = {"input": 1, "output": 2, "source": "s"} | energy
    assert f"energy.{next(iter(energy))}" in complaint(small(energy=whole))


def test_a_remote_model_has_no_meter_here() -> None:
    assert "energy: a meter measures this machine" in complaint(large(energy={"meter": "rapl"}))
    assert refusal(large(energy={"input": 1, "output": 2, "source": "its provider"})) == ""


async def test_every_attempt_has_its_joules_and_climbed_drafts_are_paid_for() -> None:
    first, second = scripted("small", "I do not know.", probability=0.2), scripted("large", "It is Paris.")
    first.card = card(FIGURES)
    done = await run(cascade_of(first, second))
    small_try, large_try = done.answered.attempts
    assert (small_try.joules, small_try.joules_source) == (
        (6 * 100 + 4 * 400) / 1000,
        "declared: a watt meter",
    )
    assert (large_try.joules, large_try.joules_source) == (None, "")


async def ask(place: House, **fields: Any) -> Any:
    async with place.http() as http:
        return await http.post("/v1/chat/completions", json={"model": "auto", "messages": ASK, **fields})


async def test_body_headers_and_ledger_tell_joules_with_their_source() -> None:
    async with house(with_energy("metered")) as place:
        whole, streamed = await ask(place), await ask(place, stream=True)
    joules, source = (6 * 100 + 3 * 400) / 1000, "metered: declared: a watt meter, 2026-11-01"
    told = whole.json()["pinnace"]
    assert (told["joules"], told["joules_source"]) == (joules, source)
    assert (float(whole.headers["x-pinnace-joules"]), whole.headers["x-pinnace-joules-source"]) == (
        joules,
        source,
    )
    assert "x-pinnace-joules" not in streamed.headers
    assert '"joules":1.8' in streamed.text
    assert [(row.joules, row.joules_source) for row in place.rows] == [(joules, source)] * 2


async def test_where_nothing_is_known_nothing_is_told() -> None:
    async with house(member("only", {"answer": "a"})) as place:
        response = await ask(place)
    assert "joules" not in response.json()["pinnace"]
    assert "x-pinnace-joules" not in response.headers
    assert (place.rows[0].joules, place.rows[0].joules_source) == (ROW.joules, "") == (None, "")


async def test_an_answer_from_the_cache_took_nothing() -> None:
    async with house(with_energy("metered"), cache={"everyone": True}) as place:
        await ask(place, temperature=0)
        again = await ask(place, temperature=0)
    assert "joules" not in again.json()["pinnace"]
    assert [(row.joules, row.joules_source) for row in place.rows][1] == (0.0, "no model ran")


def test_an_estimate_is_its_formula() -> None:
    physics, load = Physics(2e-12, 1e-10, "us"), Load(prompt_tokens=100, answer_tokens=20, batch=4)
    energy = estimated(SHAPE, load, physics)
    weights, kv = 269_030_016, 2 * 30 * 3 * 64 * 2
    dense, attention = 2 * 134_515_008, 4 * 30 * 576
    read = (dense + attention * 50) * 2e-12 + (weights / 100 + kv) * 1e-10
    written = (dense + attention * 110) * 2e-12 + (weights / 4 + kv * 110) * 1e-10
    assert (energy.input, energy.output) == (pytest.approx(1000 * read), pytest.approx(1000 * written))
    assert energy.basis == "estimated"
    assert source_of(energy) == (
        "estimated: FLOPs x 2e-12 J + bytes x 1e-10 J for 100 tokens in, 20 out, batch 4; us"
    )


def test_the_published_physics_agrees_with_what_mobilellm_says_of_seven_billion() -> None:
    """0.7 J a token at 8 bits (arXiv 2402.14905, section 1): the weights alone, read once a token."""
    assert 7e9 * PUBLISHED.joules_per_byte == pytest.approx(0.7)


def test_a_battery_lasts_as_its_figures_say() -> None:
    load = Load(prompt_tokens=10, answer_tokens=5)
    found = battery(FIGURES, load, kilojoules=3, tokens_per_second=2)
    assert (found["joules_per_answer"], found["answers"], found["tokens_written"]) == (3.0, 1000.0, 5000.0)
    assert found["hours"] == pytest.approx(5000 / 2 / 3600)
    assert found["source"] == "declared: a watt meter"


def test_a_battery_is_not_foretold_by_a_meter() -> None:
    with pytest.raises(WeightsError, match="a meter alone foretells nothing"):
        battery(Energy(meter="rapl"), Load(), 1, 1)


def test_a_mixture_of_experts_is_not_estimated(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="expected a dense model"):
        estimated(read_shape(model_folder(tmp_path / "m", num_experts=8)), Load())
