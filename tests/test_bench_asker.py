"""The asking client and the stand-in upstream: whatever is answered is noted, and nothing ends the load."""

import asyncio
import os
from dataclasses import asdict, replace
from pathlib import Path

from server_fixtures import eventually, house, member, on_a_socket

from pinnace.bench.asker import Flow, Told, run
from pinnace.bench.asking import ask, ask_one, firsts_ms, latencies_ms
from pinnace.bench.served import free_port
from pinnace.bench.upstream import WORDS
from pinnace.bench.worker import Worker

SLOW = member("small", {"answer": "one two three", "token_s": 0.05})


async def told(*flows: Flow) -> dict[str, list[dict[str, object]]]:
    found = await run(flows)
    return {name: [asdict(Told(*each)) for each in every] for name, every in found["told"].items()}


async def test_a_closed_loop_asks_as_often_as_it_was_told() -> None:
    async with house(SLOW) as served, on_a_socket(served.app) as port:
        found = await told(Flow("a", port, "auto", askers=3, count=7), Flow("b", port, "auto", True, count=2))
    assert [len(found["a"]), len(found["b"])] == [7, 2]
    for each in (*found["a"], *found["b"]):
        assert (each["status"], each["tokens"], each["is_whole"], each["route"]) == (200, 3, True, "small")
    assert all(each["first_s"] is None for each in found["a"])
    assert all(0 < float(str(each["first_s"])) < float(str(each["latency_s"])) for each in found["b"])


async def test_a_closed_loop_ends_after_its_time() -> None:
    async with house(SLOW) as served, on_a_socket(served.app) as port:
        found = (await told(Flow("a", port, "auto", askers=2, seconds=0.3, pause_s=0.01)))["a"]
    assert len(found) >= 2
    assert all(float(str(each["at"])) < 0.3 for each in found)


async def test_an_open_loop_waits_for_nobody_and_refusals_are_answers() -> None:
    async with house(SLOW, max_running=1, max_queue=1) as served, on_a_socket(served.app) as port:
        found = (await told(Flow("a", port, "auto", True, per_s=400, count=20)))["a"]
    assert len(found) == 20
    refused = [each for each in found if each["status"] == 429]
    whole = [each for each in found if each["is_whole"]]
    assert len(refused) + len(whole) == 20
    assert refused
    assert all(int(str(each["retry_after"])) >= 1 for each in refused)


async def test_bodies_are_asked_in_turn_where_they_are_meant_for() -> None:
    bodies = [{"model": "small", "prompt": text} for text in ("one", "two")]
    flow = Flow("a", 0, "auto", count=5, path="/v1/completions", bodies=bodies, sign='"text_completion"')
    async with house(SLOW) as served, on_a_socket(served.app) as port:
        found = (await told(replace(flow, port=port)))["a"]
        asked = [request.messages[0].content for request in served.backend("small").requests]
        unlike = (await told(replace(flow, port=port, sign="no such thing")))["a"]
    assert asked == ["one", "two", "one", "two", "one"]
    assert all(each["is_whole"] for each in found)
    assert not any(each["is_whole"] for each in unlike)


async def test_an_asker_that_leaves_is_a_lost_request_and_asks_again() -> None:
    flow = Flow("a", 0, "auto", stream=True, count=2, leaves_after_s=0.03)
    async with house(SLOW) as served, on_a_socket(served.app) as port:
        found = (await told(replace(flow, port=port)))["a"]
        await eventually(lambda: served.backend("small").running == 0)
    assert [(each["status"], each["is_whole"]) for each in found] == [(0, False)] * 2
    assert all(float(str(each["latency_s"])) >= 0.03 for each in found)


async def test_a_place_where_nobody_listens_is_a_lost_request() -> None:
    found = (await told(Flow("a", free_port(), "auto", count=2)))["a"]
    assert [(each["status"], each["is_whole"]) for each in found] == [(0, False)] * 2


async def test_headers_go_with_every_request() -> None:
    async with house(SLOW) as served, on_a_socket(served.app) as port:
        await told(Flow("a", port, "auto", count=2, headers={"x-pinnace-priority": "batch"}))
        assert [request.priority for request in served.backend("small").requests] == [1, 1]


async def test_in_processes_of_their_own_the_client_asks_the_upstream(tmp_path: Path) -> None:
    client = await Worker.start("pinnace.bench.asker", os.environ, tmp_path)
    upstream = await Worker.start("pinnace.bench.upstream", os.environ, tmp_path)
    try:
        port = await upstream.ask({"start": True})
        flows = (
            Flow("whole", port, "fixed", askers=2, count=10),
            Flow("streamed", port, "fixed", True, count=5),
        )
        found = await ask(client, *flows)
        assert await upstream.ask({"asked": True}) == 15
        assert [len(found["whole"]), len(found["streamed"])] == [10, 5]
        assert {each.tokens for told in found.values() for each in told} == {WORDS}
        assert len(latencies_ms(found["whole"])) == 10
        assert len(firsts_ms(found["streamed"])) == 5
        await upstream.ask({"failing": True})
        assert {each.status for each in await ask_one(client, flows[0])} == {503}
    finally:
        await asyncio.gather(client.close(), upstream.close())
