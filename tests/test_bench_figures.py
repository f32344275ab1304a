"""The arithmetic of the bench, its report, and the order in which sides are run."""

import asyncio
import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from pinnace.bench.figures import BARS, DIRECT, ENDPOINT, STOCK, STREAM, Run, figures, goodput, is_met, ratio
from pinnace.bench.hardware import Hardware, cpu_model, hardware, versions
from pinnace.bench.house import local_config, local_member
from pinnace.bench.load import Load, Measured
from pinnace.bench.report import Report, as_json, as_text
from pinnace.bench.run import Plan, decisions_under_load, measure
from pinnace.bench.settings import is_stock, without_settings
from pinnace.config import parse_config
from pinnace.errors import ConfigError
from pinnace.router.ledger import Ledger, LedgerRow

SIDES = (DIRECT, ENDPOINT, STREAM, STOCK)
MACHINE = Hardware("A CPU", cores=2, memory_gib=24.0, accelerator=None, load=0.1)


def measured(tokens: int, seconds: float = 1.0, began: float = 0.0) -> Measured:
    return Measured(began, began + seconds, seconds, 1, tokens, 0, 0.5, 0.9, None, None, 0.1)


def runs(**rates: list[int]) -> list[Run]:
    """Runs by `side_concurrency=[tokens per second in each repeat]`."""
    return [
        Run(name.rpartition("_")[0], int(name.rpartition("_")[2]), repeat, measured(rate))
        for name, each in rates.items()
        for repeat, rate in enumerate(each)
    ]


def report(found: list[Run], **changes: object) -> Report:
    made = Report(
        command="pinnace bench",
        model="small",
        max_tokens=64,
        hardware=MACHINE,
        versions={"python": "3.11"},
        settings={"VLLM_CPU_OMP_THREADS_BIND": "0,1", "LD_PRELOAD": "/x/libiomp5.so"},
        stock_settings={"LD_PRELOAD": "/x/libgomp.so"},
        figures=figures(found, [0.005, 0.006, 0.007]),
        decisions_s=[0.005, 0.006, 0.007],
        runs=found,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


WHOLE = runs(
    direct_1=[100, 100, 100],
    direct_32=[900, 1000, 500],
    endpoint_32=[855, 900, 490],
    endpoint_stream_32=[810, 930, 470],
    stock_32=[600, 800, 250],
)


def test_a_ratio_is_the_median_of_the_ratios_within_repeats() -> None:
    found = runs(direct_32=[1000, 500, 100], endpoint_32=[900, 475, 99])
    assert ratio(found, (ENDPOINT, 32), (DIRECT, 32)) == pytest.approx(0.95)
    assert goodput(found, DIRECT, 32) == 500


def test_a_ratio_needs_both_sides_of_a_repeat() -> None:
    found = runs(direct_32=[1000, 500], endpoint_32=[900])
    assert ratio(found, (ENDPOINT, 32), (DIRECT, 32)) == pytest.approx(0.9)
    assert ratio(found, (STOCK, 32), (DIRECT, 32)) is None
    assert goodput(found, STOCK, 32) is None


def test_the_figures_have_the_names_that_are_promised() -> None:
    found = figures(WHOLE, [0.004, 0.006, 0.020], [0.1])
    assert found["goodput_ratio_c32"] == pytest.approx(0.95)
    assert found["goodput_ratio_c32_stream"] == pytest.approx(0.93)
    assert found["ours_over_stock_c32"] == pytest.approx(1.5)
    assert found["batch32_over_batch1"] == pytest.approx(9.0)
    assert (found["decision_p50_ms"], found["decision_p99_ms"]) == (6.0, 20.0)
    assert found["decision_loaded_p50_ms"] == 100.0
    assert found["goodput_ratio_c1"] is None
    assert set(BARS) <= set(found)


def test_bars_are_met_from_their_own_side() -> None:
    assert is_met("goodput_ratio_c32", 0.90)
    assert not is_met("goodput_ratio_c32", 0.89)
    assert is_met("decision_p50_ms", 15.0)
    assert not is_met("decision_p50_ms", 15.1)


def test_the_json_has_figures_bars_origin_and_every_raw_run() -> None:
    found = json.loads(json.dumps(as_json(report(WHOLE))))
    assert found["goodput_ratio_c32"] == 0.95
    assert found["bars"]["goodput_ratio_c32"] == {"at least": 0.9, "met": True}
    assert (found["hardware"]["cores"], found["hardware"]["memory_gib"]) == (2, 24.0)
    assert found["command"] == "pinnace bench"
    assert found["versions"]["python"] == "3.11"
    assert len(found["runs"]) == len(WHOLE)
    assert found["runs"][0]["tokens_per_s"] == 100
    assert {"side", "concurrency", "repeat", "seconds", "tokens", "short", "neighbours"} <= set(
        found["runs"][0]
    )
    assert len(found["decisions_s"]) == 3


def text_of(made: Report) -> str:
    console = Console(file=StringIO(), width=120)
    console.print(as_text(made))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_the_text_shows_both_sides_the_ratio_and_the_bar() -> None:
    text = text_of(report(WHOLE))
    row = next(line for line in text.splitlines() if "endpoint / direct" in line and "32" in line)
    assert "855" in row
    assert "900" in row
    assert "0.95" in row
    assert "met: at least 0.9" in row
    assert "VOID" not in text
    assert "not figures to publish" not in text


def test_the_text_says_when_the_stock_engine_was_not_stock() -> None:
    assert "VOID" in text_of(report(WHOLE, stock_settings={"VLLM_CPU_OMP_THREADS_BIND": "0,1"}))


def test_the_text_says_when_others_used_the_machine() -> None:
    crowded = [replace(run, neighbours=0.7) for run in WHOLE]
    assert "Other processes kept up to 0.7 cores busy" in text_of(report(crowded))


def test_the_text_says_when_answers_were_short() -> None:
    short = [replace(run, measured=replace(run.measured, short=2)) for run in WHOLE[:1]]
    assert "2 answers ended before 64 tokens" in text_of(report(short))


def test_stock_is_what_has_neither_our_binding_nor_our_library() -> None:
    ours = {"VLLM_CPU_OMP_THREADS_BIND": "0,1", "LD_PRELOAD": "/x/libiomp5.so"}
    assert is_stock({"LD_PRELOAD": "/x/libgomp.so"}, ours)
    assert is_stock({}, {})
    assert not is_stock({"LD_PRELOAD": "/x/libiomp5.so"}, ours)
    assert not is_stock({"VLLM_CPU_OMP_THREADS_BIND": "0,1"}, {})
    assert without_settings({**ours, "HOME": "/root"}) == {"HOME": "/root"}


class FakeSide:
    """Notes what it is asked."""

    def __init__(self, name: str, log: list[tuple[str, Load]]) -> None:
        self.name = name
        self._log = log

    async def run(self, load: Load) -> Measured:
        self._log.append((self.name, load))
        await asyncio.sleep(0)
        return measured(load.max_tokens * len(load.prompts))


async def test_sides_take_turns_on_the_same_prompts_and_every_second_repeat_goes_backwards() -> None:
    log: list[tuple[str, Load]] = []
    sides = [FakeSide(name, log) for name in ("a", "b", "c")]
    plan = Plan(concurrencies=(1, 4), repeats=3, max_tokens=8)
    said: list[str] = []
    found = await measure(sides, plan, said.append, settle_s=0)
    assert len(found) == 3 * 2 * 3
    warm_ups, timed = log[:6], log[6:]
    assert all(len(load.prompts) == load.concurrency for _, load in warm_ups)
    assert [name for name, _ in timed] == [*"abcabc", *"cbacba", *"abcabc"]
    for turn in range(0, len(timed), 3):
        assert len({load for _, load in timed[turn : turn + 3]}) == 1
    assert len({load for _, load in timed}) == 6
    assert "repeat 3 of 3: c, 4 at once" in said
    assert {(run.side, run.concurrency, run.repeat) for run in found} == {
        (side, c, repeat) for side in "abc" for c in (1, 4) for repeat in range(3)
    }


def test_decisions_under_load_are_those_of_the_highest_concurrency(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    ledger.start()
    for number, created in enumerate((5.0, 105.0, 205.0, 305.0)):
        ledger.add(row(f"r{number}", created, decision_s=created / 1000))
    ledger.stop()
    found = [
        Run(ENDPOINT, 1, 0, measured(1, 10.0, 0.0)),
        Run(ENDPOINT, 32, 0, measured(1, 10.0, 100.0)),
        Run(STREAM, 32, 0, measured(1, 10.0, 200.0)),
        Run(DIRECT, 32, 0, measured(1, 10.0, 300.0)),
    ]
    assert decisions_under_load(path, found) == [0.105, 0.205]


def row(request_id: str, created: float, decision_s: float) -> LedgerRow:
    return LedgerRow(
        request_id=request_id,
        created=created,
        asked_model="auto",
        model="small",
        strategy="single",
        route="small",
        confidence=0.5,
        escalated=False,
        outcome="accepted",
        why="",
        prompt_tokens=1,
        completion_tokens=1,
        cost_usd=0.0,
        decision_s=decision_s,
        total_s=1.0,
        clusters="",
        attempts="[]",
    )


SMALL = {"name": "small", "backend": "vllm", "weights": ["wheel:a==1#sha256=" + "0" * 64]}
LARGE = {"name": "large", "backend": "openai", "base_url": "https://example.org", "model": "big"}


def test_the_bench_serves_the_first_local_model_alone_with_a_ledger_of_its_own(tmp_path: Path) -> None:
    config = parse_config({"fleet": [LARGE, SMALL], "server": {"api_keys": ["secret"], "port": 80}}, {})
    local = local_config(config, local_member(config), tmp_path)
    assert [member.name for member in local.fleet] == ["small"]
    assert (local.server.api_keys, local.server.port) == ((), 0)
    assert local.ledger.path.parent == tmp_path


def test_a_fleet_without_a_local_model_has_nothing_to_compare() -> None:
    with pytest.raises(ConfigError, match="expected a vllm member"):
        local_member(parse_config({"fleet": [LARGE]}, {}))


def test_the_hardware_is_named() -> None:
    found = hardware()
    assert found.cpu
    assert found.cores >= 1
    assert found.memory_gib > 0
    assert versions()["python"].startswith("3.")


def test_a_processor_without_a_telling_name_is_told_by_family_and_model(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("cpu family\t: 6\nmodel\t\t: 167\nmodel name\t: Some Processor\nflags\t: fpu\n")
    assert cpu_model(path) == "Some Processor (family 6, model 167)"


@pytest.mark.parametrize("wrong", ["", "0", "1,x", "1;8", "1000", "-1"])
def test_the_command_refuses_bad_concurrencies(wrong: str) -> None:
    import pinnace.cli.bench
    from pinnace.cli.app import app

    assert pinnace.cli.bench.INTERRUPTED == 130
    result = CliRunner().invoke(app, ["bench", f"--concurrency={wrong}"])
    assert result.exit_code == 2
    assert "from 1 to 256" in result.output
