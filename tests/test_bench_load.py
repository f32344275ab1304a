"""The closed loop: who asks when, and what is counted."""

import asyncio
import time

import pytest

from pinnace.bench.load import Answer, Load, drive, load_of, percentile
from pinnace.bench.neighbours import Neighbours, busy_seconds
from pinnace.bench.prompts import chat_of, long_prompts, varied_prompts
from pinnace.errors import BackendUnavailableError

LOAD = Load(concurrency=3, prompts=tuple(f"prompt {i}" for i in range(10)), max_tokens=5)


async def test_every_prompt_is_asked_once_and_never_more_at_a_time_than_said() -> None:
    asked: list[str] = []
    running = most = 0

    async def ask(prompt: str, number: int) -> Answer:
        nonlocal running, most
        assert 0 <= number < 3
        asked.append(prompt)
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.002)
        running -= 1
        return Answer(5)

    measured = await drive(LOAD, ask)
    assert sorted(asked) == sorted(LOAD.prompts)
    assert most == 3
    assert (measured.requests, measured.tokens, measured.short) == (10, 50, 0)


async def test_goodput_counts_generated_tokens_and_says_how_many_answers_were_short() -> None:
    async def ask(prompt: str, _: int) -> Answer:
        await asyncio.sleep(0.001)
        return Answer(2 if prompt == "prompt 4" else 5)

    measured = await drive(LOAD, ask)
    assert (measured.tokens, measured.short) == (47, 1)
    assert measured.tokens_per_s == pytest.approx(47 / measured.seconds)
    assert measured.began <= measured.ended
    assert measured.first_token_p50_s is None


async def test_the_first_token_is_timed_from_the_question() -> None:
    async def ask(_: str, __: int) -> Answer:
        await asyncio.sleep(0.02)
        first = time.perf_counter()
        await asyncio.sleep(0.02)
        return Answer(5, first)

    measured = await drive(LOAD, ask)
    assert measured.first_token_p50_s is not None
    assert 0.015 < measured.first_token_p50_s < measured.latency_p50_s <= measured.latency_p99_s


async def test_the_first_failure_ends_a_load_and_is_raised() -> None:
    async def ask(prompt: str, _: int) -> Answer:
        if prompt == "prompt 2":
            raise BackendUnavailableError("gone")
        await asyncio.Event().wait()
        return Answer(5)

    with pytest.raises(BackendUnavailableError, match="gone"):
        await drive(LOAD, ask)


def test_a_load_survives_json() -> None:
    assert load_of({"concurrency": 3, "prompts": list(LOAD.prompts), "max_tokens": 5}) == LOAD


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (50, 5), (90, 9), (99, 10), (100, 10)])
def test_percentiles_are_values_that_occurred(percent: float, expected: float) -> None:
    assert percentile([10, 1, 9, 2, 8, 3, 7, 4, 6, 5], percent) == expected


def test_long_prompts_differ_and_are_the_same_for_the_same_seed() -> None:
    prompts = long_prompts(1000, seed=1)
    assert len(set(prompts)) == 1000
    assert prompts == long_prompts(1000, seed=1)
    assert set(prompts[:32]) != set(long_prompts(32, seed=2))
    assert not any("{" in prompt for prompt in prompts)


def test_varied_prompts_are_of_many_kinds_and_lengths() -> None:
    prompts = varied_prompts(200)
    assert len(prompts) == 200
    assert len(set(prompts)) > 150
    assert min(map(len, prompts)) < 50 < 400 < max(map(len, prompts))
    assert not any("{" in prompt for prompt in prompts)


def test_every_side_is_sent_the_same_two_turns() -> None:
    assert [(message.role, message.content) for message in chat_of("Write.")][1:] == [("user", "Write.")]


def test_what_we_do_ourselves_is_not_the_neighbours() -> None:
    neighbours = Neighbours()
    until = time.perf_counter() + 0.2
    while time.perf_counter() < until:
        pass
    cores = neighbours.cores()
    assert cores is not None
    assert cores >= 0


def test_a_system_without_proc_stat_has_no_neighbours_to_count(tmp_path: object) -> None:
    from pathlib import Path

    assert busy_seconds(Path(str(tmp_path)) / "stat") is None
