"""The fleet: who serves, who does not, and why."""

import asyncio
import logging
import sys
from pathlib import Path

import pytest
from router_fixtures import ToldBackend, scripted
from server_fixtures import member

from pinnace.config import Config, parse_config
from pinnace.errors import (
    BackendError,
    BackendUnavailableError,
    SelfTestError,
    UnknownModelError,
    WeightsError,
)
from pinnace.models.fleet import Fleet, MemberStatus, make_backend
from pinnace.models.openai_backend import OpenAIBackend
from pinnace.models.scripted import ScriptedBackend


class Failing(ToldBackend):
    """A backend that fails to start."""

    def __init__(self, name: str, error: Exception) -> None:
        super().__init__(name)
        self.start_error = error
        self.drained = 0

    async def start(self) -> None:
        raise self.start_error

    async def drain(self) -> None:
        self.drained += 1


def fleet_of(*backends: ToldBackend | ScriptedBackend, **absent: str) -> Fleet:
    return Fleet({backend.card.name: backend for backend in backends}, absent)


async def test_a_fleet_serves_once_it_has_started() -> None:
    fleet = fleet_of(scripted("small", "a"), scripted("large", "b"))
    assert not fleet.is_ready()
    assert fleet.cards() == ()
    await fleet.start()
    assert fleet.is_ready()
    assert [card.name for card in fleet.cards()] == ["small", "large"]
    assert fleet.serving("large") is fleet.backends["large"]
    await fleet.drain()
    assert set(fleet.status.values()) == {MemberStatus("stopped")}
    assert not fleet.is_ready()


@pytest.mark.parametrize(
    "error",
    [SelfTestError("bad: expected 'a', got 'b'"), WeightsError("none"), BackendUnavailableError("no")],
)
async def test_a_member_that_fails_is_left_out_and_says_why(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = fleet_of(Failing("bad", error), scripted("good", "a"))
    await fleet.start()
    assert [card.name for card in fleet.cards()] == ["good"]
    assert fleet.status["bad"] == MemberStatus("failed", str(error))
    assert f"bad will not serve: {error}" in caplog.text
    with pytest.raises(BackendUnavailableError, match=f"bad is failed: {error}"):
        fleet.serving("bad")


async def test_a_fleet_without_one_that_serves_does_not_start_and_has_every_reason() -> None:
    fleet = fleet_of(Failing("a", BackendError("first")), Failing("b", WeightsError("second")), c="no key")
    with pytest.raises(BackendError, match="no fleet member can serve: a: first; b: second; c: no key"):
        await fleet.start()


async def test_an_absent_member_says_why(caplog: pytest.LogCaptureFixture) -> None:
    fleet = fleet_of(scripted("small", "a"), large="PINNACE_LARGE_KEY is not set")
    with caplog.at_level(logging.INFO):
        await fleet.start()
    assert "fleet serves without large: PINNACE_LARGE_KEY is not set" in caplog.text
    with pytest.raises(BackendUnavailableError, match="large is absent: PINNACE_LARGE_KEY is not set"):
        fleet.serving("large")


async def test_a_member_that_is_not_there_is_unknown() -> None:
    fleet = fleet_of(scripted("small", "a"))
    with pytest.raises(UnknownModelError, match="has no model 'gpt'; it has: auto, small") as caught:
        fleet.serving("gpt")
    assert (caught.value.param, caught.value.code) == ("model", "model_not_found")
    with pytest.raises(BackendUnavailableError, match="small is starting: not ready yet"):
        fleet.serving("small")


async def test_members_start_one_after_the_other() -> None:
    seen: list[str] = []

    class Slow(ToldBackend):
        async def start(self) -> None:
            seen.append(f"{self.card.name} begins")
            await asyncio.sleep(0)
            seen.append(f"{self.card.name} ends")

    await fleet_of(Slow("a"), Slow("b")).start()
    assert seen == ["a begins", "a ends", "b begins", "b ends"]


async def test_those_that_failed_are_not_drained() -> None:
    failed = Failing("bad", BackendError("no"))
    fleet = fleet_of(failed, scripted("good", "a"))
    await fleet.start()
    await fleet.drain()
    assert failed.drained == 0
    assert fleet.status["bad"].state == "failed"


def test_each_kind_of_member_has_its_backend(tmp_path: Path) -> None:
    fleet = [
        {"name": "s", "backend": "scripted", "script": [{"answer": "x"}]},
        {"name": "o", "backend": "openai", "base_url": "http://127.0.0.1:1/v1", "model": "m"},
        {"name": "a", "backend": "openai", "base_url": "${NO}", "model": "m", "optional": True},
    ]
    found = Fleet.from_config(parse_config({"fleet": fleet}, {}))
    assert [type(backend) for backend in found.backends.values()] == [ScriptedBackend, OpenAIBackend]
    assert found.status["a"].state == "absent"


def test_a_backend_is_made_without_loading_anything() -> None:
    config = Config.model_validate(
        {"fleet": [{"name": "v", "backend": "vllm", "weights": ["path:/x"], "context_window": 128}]}
    )
    backend = make_backend(config.fleet[0])
    assert (backend.card.name, backend.card.backend, backend.card.context_window) == ("v", "vllm", 128)
    assert "vllm" not in sys.modules


def test_a_card_tells_what_the_configuration_says() -> None:
    card = make_backend(member("small", {"answer": "x"}, price=2)).card
    assert (card.name, card.backend, card.input_price, card.estimates) == ("small", "scripted", 2, "small")


async def test_a_fleet_beside_another_shares_what_is_kept_and_starts_what_is_new() -> None:
    config = Config.model_validate(
        {"fleet": [member("small", {"answer": "x"}), member("new", {"answer": "y"})]}
    )
    running = fleet_of(scripted("small", "a"), scripted("large", "b"))
    await running.start()
    fleet = Fleet.beside(running, ["small"], config)
    assert fleet.backends["small"] is running.backends["small"]
    assert [fleet.status[name].state for name in ("small", "new")] == ["ready", "starting"]
    await fleet.start()
    running.status["small"] = MemberStatus("restarting", "it died")
    fleet.take_over(running)
    assert fleet.status["small"] == MemberStatus("restarting", "it died")
    await running.drain(beside=fleet)
    assert running.status["large"].state == "stopped"
    assert running.status["small"].state == "restarting"
