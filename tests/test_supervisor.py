"""An engine that dies is started again; what ran on it runs alone next, and the guilty are refused."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from server_fixtures import eventually, member

from pinnace.errors import BackendUnavailableError, RequestError, SelfTestError
from pinnace.models.backoff import Backoff
from pinnace.models.card import card_of
from pinnace.models.completion import Delta, Message, Request, Usage
from pinnace.models.fleet import Fleet
from pinnace.models.member_status import MemberStatus
from pinnace.models.supervisor import Supervisor, plain, supervisor_of


class Engine:
    """A backend that dies of the word 'poison' after one token, or when told to; a real one in small."""

    def __init__(self, name: str = "small") -> None:
        self.card = card_of(member(name, {"answer": "x"}), backend="engine")
        self.death: asyncio.Event | None = None
        self.failures: list[Exception] = []
        self.starts = 0
        self.drains = 0
        self.running = 0
        self.most = 0
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def start(self) -> None:
        self.starts += 1
        if self.failures:
            raise self.failures.pop(0)
        self.death = asyncio.Event()

    async def drain(self) -> None:
        self.drains += 1
        self.death = None

    def die(self) -> None:
        assert self.death is not None
        self.death.set()

    def is_dead(self) -> bool:
        return self.death is not None and self.death.is_set()

    async def wait_death(self) -> str:
        assert self.death is not None
        await self.death.wait()
        return "its engine was killed by SIGKILL"

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        death = self.death
        assert death is not None
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            yield Delta("one ", usage=Usage(1, 1))
            if "poison" in request.text():
                death.set()
            going, dying = asyncio.create_task(self.go_on.wait()), asyncio.create_task(death.wait())
            await asyncio.wait((going, dying), return_when=asyncio.FIRST_COMPLETED)
            for task in (going, dying):
                task.cancel()
            if death.is_set():
                raise BackendUnavailableError("small: the engine failed")
            yield Delta("two", finish_reason="stop", usage=Usage(1, 2))
        finally:
            self.running -= 1


def quick(first_s: float = 0.0) -> Backoff:
    return Backoff(first_s=first_s, jitter=0)


def asked(text: str) -> Request:
    return Request((Message("user", text),))


async def answer(supervisor: Supervisor, text: str) -> str:
    return "".join([delta.text async for delta in supervisor.stream(asked(text))])


async def test_an_engine_that_dies_is_started_again_and_says_so_meanwhile() -> None:
    engine = Engine()
    fleet = Fleet({"small": Supervisor(engine, quick(0.05))})
    await fleet.start()
    assert fleet.status["small"] == MemberStatus("ready")
    supervisor = fleet.serving("small")
    engine.die()
    await eventually(lambda: fleet.status["small"].state == "restarting")
    assert fleet.status["small"].detail == "its engine was killed by SIGKILL"
    assert fleet.cards() == ()
    with pytest.raises(
        BackendUnavailableError, match="small is restarting: its engine was killed by SIGKILL"
    ):
        fleet.serving("small")
    with pytest.raises(BackendUnavailableError, match="is being started again"):
        await answer(supervisor, "hello")
    await eventually(fleet.is_ready)
    assert await answer(supervisor, "hello") == "one two"
    assert (engine.starts, engine.drains, supervisor.restarts) == (2, 1, 1)
    await fleet.drain()
    assert fleet.status["small"].state == "stopped"


async def test_it_tries_until_the_self_test_passes_and_tells_each_reason() -> None:
    engine = Engine()
    supervisor, told = Supervisor(engine, quick()), []
    await supervisor.start()
    supervisor.tell = told.append
    engine.failures = [SelfTestError("expected 'Paris', got 'Lyon'"), BackendUnavailableError("no memory")]
    engine.die()
    await eventually(lambda: supervisor.restarts == 1)
    reasons = ["its engine was killed by SIGKILL", "expected 'Paris', got 'Lyon'", "no memory"]
    assert told == [*(MemberStatus("restarting", why) for why in reasons), MemberStatus("ready")]
    await supervisor.drain()


async def test_a_first_start_that_fails_is_not_tried_again() -> None:
    engine = Engine()
    engine.failures = [SelfTestError("wrong")]
    with pytest.raises(SelfTestError):
        await Supervisor(engine, quick()).start()
    await asyncio.sleep(0.02)
    assert engine.starts == 1


async def test_draining_while_it_restarts_ends_the_restart() -> None:
    engine = Engine()
    supervisor = Supervisor(engine, quick(60))
    await supervisor.start()
    engine.die()
    await eventually(lambda: supervisor.status.state == "restarting")
    await supervisor.drain()
    assert engine.starts == 1
    assert supervisor.status.state == "stopped"


async def test_a_bug_in_the_restart_is_told_and_does_not_vanish(caplog: pytest.LogCaptureFixture) -> None:
    engine = Engine()
    supervisor = Supervisor(engine, quick())
    await supervisor.start()
    engine.failures = [ZeroDivisionError("oh")]
    engine.die()
    await eventually(lambda: supervisor.status.state == "failed")
    assert supervisor.status.detail == "its supervision failed: oh"
    await eventually(lambda: engine.drains == 2)
    assert "small is no longer watched" in caplog.text


async def back(supervisor: Supervisor, restarts: int) -> None:
    await eventually(lambda: supervisor.restarts == restarts)


async def test_a_request_that_kills_twice_is_refused_and_others_are_served() -> None:
    supervisor = Supervisor(Engine(), quick())
    await supervisor.start()
    for tries in (1, 2):
        with pytest.raises(BackendUnavailableError):
            await answer(supervisor, "poison")
        await back(supervisor, tries)
    with pytest.raises(RequestError, match="ended the engine more than once") as caught:
        await answer(supervisor, "poison")
    assert (caught.value.code, caught.value.param) == ("poisoned_request", "messages")
    assert await answer(supervisor, "hello") == "one two"
    assert supervisor.restarts == 2
    await supervisor.drain()


async def test_the_culprit_in_a_crowd_is_found_and_no_innocent_is_refused() -> None:
    engine = Engine()
    supervisor = Supervisor(engine, quick())
    await supervisor.start()
    engine.go_on.clear()
    texts = [f"good {number}" for number in range(6)]
    good = [asyncio.create_task(answer(supervisor, text)) for text in texts]
    await eventually(lambda: engine.running == 6)
    crowd = await asyncio.gather(answer(supervisor, "poison"), *good, return_exceptions=True)
    assert all(isinstance(each, BackendUnavailableError) for each in crowd)
    await back(supervisor, 1)
    assert len(supervisor.suspects) == 7
    engine.go_on.set()
    engine.most = 0
    again = await asyncio.gather(*(answer(supervisor, text) for text in texts))
    assert again == ["one two"] * 6
    assert engine.most == 1
    assert len(supervisor.suspects) == 1
    outcome = await asyncio.gather(
        answer(supervisor, "poison"), answer(supervisor, "bystander"), return_exceptions=True
    )
    assert isinstance(outcome[0], BackendUnavailableError)
    await back(supervisor, 2)
    with pytest.raises(RequestError):
        await answer(supervisor, "poison")
    assert await answer(supervisor, "bystander") == "one two"
    await supervisor.drain()


async def test_strangers_run_together_while_there_is_no_suspect_among_them() -> None:
    engine = Engine()
    supervisor = Supervisor(engine, quick())
    await supervisor.start()
    await asyncio.gather(*(answer(supervisor, text) for text in "abcd"))
    assert engine.most == 4
    await supervisor.drain()


async def test_what_stands_in_for_a_backend_can_be_looked_behind() -> None:
    engine = Engine()
    supervisor = Supervisor(engine)

    class Gate:
        inner = supervisor

    assert plain(supervisor) is engine
    assert plain(engine) is engine
    assert supervisor_of(Gate()) is supervisor
    assert supervisor_of(engine) is None
