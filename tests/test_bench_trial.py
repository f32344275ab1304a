"""Trials: medians over repeats, bars, both forms of the report; and the arithmetic of each of them."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

import pinnace.cli.bench
from pinnace.bench import abort, failure, overload, peer, priority
from pinnace.bench.asker import Told
from pinnace.bench.hang_up import HungUp
from pinnace.bench.overhead import direct_ms
from pinnace.bench.scripts import TWENTY, document, scripted
from pinnace.bench.trial import NEIGHBOURS, Trial, as_json, as_text, in_turn, is_met, repeated
from pinnace.cli.app import app
from pinnace.config import parse_config

BARS = {"ratio": ("at least", 0.9), "late_ms": ("at most", 5.0)}


def answered(at: float = 0.0, *, latency: float = 0.5, first: float = 0.1, status: int = 200) -> Told:
    whole = status == 200
    return Told(
        at, status, latency, first if whole else None, 20 if whole else 0, whole, None if whole else "1"
    )


async def trial_of(*rows: dict[str, float]) -> Trial:
    async def once(repeat: int) -> dict[str, float]:
        return rows[repeat]

    return await repeated("some", "What is put under what.", BARS, len(rows), once, lambda _: None)


async def test_figures_are_medians_and_bars_are_told_by_them() -> None:
    trial = await trial_of({"ratio": 0.8, "late_ms": 4.0}, {"ratio": 0.95}, {"ratio": 1.0, "late_ms": 8.0})
    assert trial.figures["ratio"] == 0.95
    assert trial.figures["late_ms"] == 6.0
    found = as_json(trial)
    assert found["bars"] == {
        "ratio": {"at least": 0.9, "met": True},
        "late_ms": {"at most": 5.0, "met": False},
    }
    assert (found["ratio"], found["repeats"], len(found["rows"])) == (0.95, 3, 3)
    assert found["hardware"]["cores"] >= 1
    assert found["command"].startswith("pinnace")
    assert set(found["rows"][1]) <= {"ratio", NEIGHBOURS}
    json.dumps(found)


async def test_the_table_has_both_ends_and_says_what_is_missed() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(as_text(await trial_of({"ratio": 0.5, "late_ms": 1.0}, {"ratio": 0.7, "late_ms": 1.0})))
    said = console.export_text()
    assert "MISSED: at least 0.9" in said
    assert "met: at most 5" in said
    assert "2 repeats" in said
    assert all(number in said for number in ("0.5", "0.6", "0.7"))


def test_every_second_repeat_goes_backwards() -> None:
    assert [in_turn("abc", repeat) for repeat in (0, 1, 2)] == ["abc", ("c", "b", "a"), "abc"]
    assert is_met(("at most", 1.0), 1.0)
    assert is_met(("at least", 1.0), 1.0)


def test_goodput_is_of_whole_answers_within_the_time() -> None:
    told = [answered(), answered(0.2), answered(0.9), answered(status=429)]
    assert overload.goodput(told, 1.0) == 40.0
    found = overload.figures([answered(), answered()], told, 1.0)
    assert found["goodput_ratio_overload"] == 1.0
    assert (found["refused_share"], found["refused_without_retry_after"]) == (0.25, 0.0)
    assert found["neither_served_nor_refused"] == 0.0


@pytest.mark.parametrize("wrong", [None, "0", "soon"])
def test_a_refusal_that_does_not_say_when_to_return_is_counted(wrong: str | None) -> None:
    silent = Told(0.0, 429, 0.001, None, 0, False, wrong)
    found = overload.figures([answered()], [answered(), silent, answered(status=500)], 1.0)
    assert found["refused_without_retry_after"] == 1.0
    assert found["neither_served_nor_refused"] == 1.0


def test_priority_compares_the_late_ones() -> None:
    alone = [answered(first=0.1)] * 20
    under = [answered(first=0.1)] * 18 + [answered(first=0.2)] * 2
    found = priority.figures(alone, under, alone)
    assert found["interactive_first_text_p95_ratio"] == pytest.approx(2.0)
    assert found["interactive_not_served"] == 0


def test_attempts_are_over_all_requests() -> None:
    found = failure.figures("shipped", [answered(), answered(), answered(), answered(status=502)], 5)
    assert found["attempts_per_request_shipped"] == 1.25
    assert found["answered_share_shipped"] == 0.75
    strange = Told(0.0, 200, 0.1, None, 1, True, None, "instant")
    with pytest.raises(AssertionError, match="begins with it"):
        failure.figures("shipped", [strange], 1)


def test_a_freed_place_is_timed_from_the_hang_up_without_the_first_token_itself() -> None:
    found = abort.figures([HungUp(0.060, (0.010, 0.020, 0.010)), HungUp(0.080, (0.020,))], idle_ms=30.0)
    assert found["freed_p50_ms"] == pytest.approx(40.0)
    assert found["freed_over_a_step_p50_ms"] == pytest.approx((20 + 30) / 2)
    assert found["freed_over_a_step_most_ms"] == pytest.approx(30.0)


def test_both_gateways_are_compared_with_each_other_and_with_the_upstream() -> None:
    def of(count: int, latency: float) -> Sequence[Told]:
        return [answered(latency=latency)] * count

    told = {peer.OURS: of(100, 0.003), peer.PEER: of(10, 0.011), peer.DIRECT: of(1000, 0.001)}
    found = peer.figures(told, 1, "whole", 2.0)
    assert found["per_s_ratio_c1_whole"] == 10.0
    assert found["pinnace_per_s_c1_whole"] == 50.0
    assert found["pinnace_added_p50_ms_whole"] == pytest.approx(2.0)
    assert found["litellm_added_p50_ms_whole"] == pytest.approx(10.0)
    assert "pinnace_p99_ms_c64_whole" in peer.figures(told, 64, "whole", 2.0)


async def test_the_scripted_backend_is_timed_directly() -> None:
    found = await direct_ms([scripted(TWENTY, 20)], TWENTY, 5)
    assert len(found) == 5
    assert all(each > 0 for each in found)


def test_what_the_trials_serve_is_a_configuration(tmp_path: Path) -> None:
    fleet = [scripted("paced", 3, token_s=0.5, max_running=4)]
    config = parse_config(document(fleet, tmp_path, server={"max_running": 2}), {})
    assert (config.fleet[0].max_running, config.server.max_running) == (4, 2)
    assert config.ledger.path.parent == tmp_path
    assert failure.preferring_remote().models == ("instant", "remote")


@pytest.mark.parametrize("name", ["overhead", "overload", "priority", "failure", "abort", "peer"])
def test_every_trial_is_a_command_with_an_example(name: str) -> None:
    assert pinnace.cli.bench.PEERS.parts[0] == ".pinnace"
    result = CliRunner().invoke(app, ["bench", name, "--help"])
    assert result.exit_code == 0
    assert f"pinnace bench {name}" in result.output
    assert CliRunner().invoke(app, ["bench", name, "--repeats", "0"]).exit_code == 2
