"""`pinnace models card`, `share`, `battery` and `calibrate`: what they print, and what they refuse."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli_fixtures import Run, configure, runner
from config_fixtures import refusal, small
from shape_fixtures import LAYERS, WIDTH, adapter_folder, model_folder

from pinnace.models.shapes.card import folder_facts

ENERGY = {"input": 100, "output": 400, "source": "a watt meter"}
SAYING = {"backend": "scripted", "script": [{"answer": "one two three four five six", "token_s": 0.001}]}


@pytest.fixture
def pinnace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `pinnace models` in a folder with nothing but a model and an adapter."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PINNACE_CACHE", str(tmp_path / "cache"))
    model_folder(tmp_path / "base")
    adapter_folder(tmp_path / "adapter")
    return runner(monkeypatch, capsys, "models")


def fleet(*members: dict[str, Any]) -> Path:
    """A configuration of these members in the folder that we are in."""
    return configure(Path.cwd(), fleet=list(members))


def local(name: str = "local", **fields: Any) -> dict[str, Any]:
    return {"name": name, "backend": "vllm", "weights": ["base"], **fields}


def test_a_card_of_a_folder_needs_no_configuration(pinnace: Run, tmp_path: Path) -> None:
    told = pinnace("card", "base", "--json").json()
    assert told == {"name": "base", "source": "base", "folder": "base"} | json.loads(
        json.dumps(folder_facts(tmp_path / "base"))
    )
    lines = dict(line.split(None, 1) for line in pinnace("card", "base").out.splitlines())
    assert (lines["layers"], lines["width"]) == (str(LAYERS), str(WIDTH))
    assert "MobileLLM" in lines["standing"]


def test_a_member_s_card_has_its_prices_and_its_shape(pinnace: Run) -> None:
    fleet(local(price={"input": 1, "output": 2}, energy=ENERGY))
    told = pinnace("card", "local", "--context", "9", "--json").json()
    assert (told["name"], told["price"], told["layers"]) == ("local", {"input": 1, "output": 2}, LAYERS)
    assert (told["energy"]["source"], told["flops_context"]) == ("a watt meter", 9)


def test_a_cached_hub_repository_is_found_by_its_name(pinnace: Run, tmp_path: Path) -> None:
    slot = tmp_path / "cache" / "hub" / f"Org--Tiny-{'a' * 12}" / "model"
    model_folder(slot)
    assert pinnace("card", "Org/Tiny").code == 2, "a folder without its manifest is not whole"
    files = {path.name: path.stat().st_size for path in slot.iterdir()}
    (slot / "pinnace.json").write_text(
        json.dumps({"source": "hf:Org/Tiny", "license": "mit", "files": files})
    )
    for name in ("Org/Tiny", "hf:Org/Tiny", f"hf:Org/Tiny@{'a' * 40}"):
        told = pinnace("card", name, "--json").json()
        assert (told["source"], told["licence"], told["layers"]) == ("hf:Org/Tiny", "mit", LAYERS)
    assert pinnace("card", f"hf:Org/Tiny@{'b' * 40}").code != 0


def test_an_adapter_s_card_has_its_share_of_the_base_that_is_given(pinnace: Run) -> None:
    told = pinnace("card", "adapter", "--base", "base", "--json").json()
    assert (told["kind"], told["rank"], 0 < told["share_of_base"] < 1) == ("adapter", 2, True)
    assert pinnace("card", "adapter", "--json").json()["share_of_base"] is None


def test_an_adapter_of_the_fleet_is_beside_its_base(pinnace: Run) -> None:
    fleet(local(), {"name": "special", "backend": "vllm", "base": "local", "adapter": "adapter"})
    told = pinnace("card", "special", "--json").json()
    assert (told["kind"], told["rank"]) == ("adapter", 2)
    assert (
        told["share_of_base"]
        == pinnace("card", "adapter", "--base", "base", "--json").json()["share_of_base"]
    )
    own, base = (pinnace("battery", name, "--json").json() for name in ("special", "local"))
    assert own == base
    done = pinnace("calibrate", "special", "--watts", "1", "--source", "s")
    assert (done.code, "special: runs in the engine of 'local': calibrate that" in done.err) == (1, True)


def test_a_card_of_nothing_names_what_there_is(pinnace: Run) -> None:
    fleet(local())
    done = pinnace("card", "gpt")
    assert (done.code, done.out) == (1, "")
    assert "the fleet has no model 'gpt'; it has: local" in done.err


def test_share_writes_a_model_whose_layers_are_written_twice(pinnace: Run, tmp_path: Path) -> None:
    told = pinnace("share", "base", "-o", "deeper", "--json").json()
    assert (told["layers"], told["before"]["layers"]) == (2 * LAYERS, LAYERS)
    assert told["distinct_parameters"] == told["before"]["parameters"]
    assert told["kv_bytes_per_token"] == 2 * told["before"]["kv_bytes_per_token"]
    assert folder_facts(tmp_path / "deeper")["shared_layers"][0] == [0, 1]
    again = pinnace("share", "base", "-o", "deeper")
    assert (again.code, "deeper is there already" in again.err) == (1, True)
    assert f"{LAYERS} -> {3 * LAYERS}" in pinnace("share", "base", "-o", "thrice", "--times", "3").out


def test_share_of_nothing_is_refused(pinnace: Run) -> None:
    done = pinnace("share", "nowhere", "-o", "out")
    assert done.code == 1
    assert "expected a folder, or a hub repository in the cache, got 'nowhere'" in done.err


def test_a_battery_lasts_by_the_member_s_own_figures(pinnace: Run) -> None:
    fleet(local(energy=ENERGY))
    asked = ("--kilojoules", "3", "--prompt-tokens", "10", "--answer-tokens", "5", "--pace", "2")
    told = pinnace("battery", "local", *asked, "--json").json()
    assert (told["answers"], told["tokens_written"], told["source"]) == (1000, 5000, "declared: a watt meter")
    done = pinnace("battery", "local", *asked)
    assert "1,000 answers, 5,000 tokens, 0.7 h at 2 tokens/s on 3 kJ (3 J an answer)" in done.out
    assert "declared: a watt meter" in done.out


def test_a_battery_of_a_model_without_figures_is_an_estimate_and_says_so(pinnace: Run) -> None:
    fleet(local())
    for name in ("local", "base"):
        told = pinnace("battery", name, "--json").json()
        assert told["source"].startswith("estimated: FLOPs x 2.3e-12 J + bytes x 1e-10 J")
        assert "Horowitz" in told["source"]
    physics = ("--joules-per-flop", "0", "--joules-per-byte", "1e-9", "--source", "my board")
    other = pinnace("battery", "base", *physics, "--json").json()
    assert other["source"].endswith("my board")
    assert other["joules_per_answer"] > told["joules_per_answer"]


def test_physics_of_one_s_own_come_before_the_member_s_figures(pinnace: Run) -> None:
    fleet(local(energy=ENERGY))
    physics = ("--joules-per-flop", "1e-12", "--joules-per-byte", "1e-10", "--source", "my board")
    assert pinnace("battery", "local", *physics, "--json").json()["source"].startswith("estimated:")


def test_physics_without_a_source_are_bad_usage(pinnace: Run) -> None:
    done = pinnace("battery", "base", "--joules-per-flop", "1e-12", "--joules-per-byte", "1e-10")
    assert done.code == 2
    assert "expected --joules-per-flop, --joules-per-byte and --source together" in done.err


def test_a_battery_of_a_model_that_runs_elsewhere_needs_its_figures(pinnace: Run) -> None:
    fleet({"name": "small", **SAYING})
    done = pinnace("battery", "small")
    assert done.code == 1
    assert "small: a member with the backend 'scripted' has no weights here" in done.err


def test_calibrate_prints_a_section_that_router_yaml_takes(pinnace: Run) -> None:
    fleet({"name": "small", **SAYING})
    by = ("--watts", "2", "--source", "socket meter", "--answers", "6")
    told = pinnace("calibrate", "small", *by, "--json").json()
    assert told["basis"] == "calibrated"
    assert told["source"].startswith("2 W, socket meter; 6 answers one after the other")
    assert told["output"] > 0
    section = yaml.safe_load(pinnace("calibrate", "small", *by).out)
    assert refusal(small(**section)) == ""
    assert set(section["energy"]) == {"input", "output", "source", "basis"}


BAD_USAGE = [
    ((), "expected one of --watts, --log and --meter"),
    (("--watts", "1", "--meter", "rapl"), "expected one of --watts, --log and --meter"),
    (("--watts", "1"), "expected --source: where the watts come from"),
]


@pytest.mark.parametrize(("by", "said"), BAD_USAGE, ids=lambda value: " ".join(value)[:30])
def test_calibrate_without_a_source_is_bad_usage(pinnace: Run, by: tuple[str, ...], said: str) -> None:
    fleet({"name": "small", **SAYING})
    done = pinnace("calibrate", "small", *by)
    assert (done.code, said in done.err) == (2, True)


def test_only_members_that_run_here_can_be_calibrated(pinnace: Run) -> None:
    fleet({"name": "large", "backend": "openai", "base_url": "http://a/v1", "model": "m"})
    done = pinnace("calibrate", "large", "--watts", "1", "--source", "s")
    assert (done.code, "large: runs elsewhere" in done.err) == (1, True)
    done = pinnace("calibrate", "base", "--watts", "1", "--source", "s")
    assert (done.code, "expected a member of the fleet, got 'base'" in done.err) == (2, True)


def test_a_meter_that_is_not_there_says_so(pinnace: Run) -> None:
    fleet({"name": "small", **SAYING})
    done = pinnace("calibrate", "small", "--meter", "socket")
    assert (done.code, "expected rapl, nvml or nvml:NUMBER, got 'socket'" in done.err) == (1, True)


def test_a_log_of_watts_that_does_not_cover_the_run_says_so(pinnace: Run) -> None:
    fleet({"name": "small", **SAYING})
    Path("watts.csv").write_text("1,5\n2,5\n")
    done = pinnace("calibrate", "small", "--log", "watts.csv", "--source", "plug", "--answers", "4")
    assert (done.code, "watts.csv: expected readings from" in done.err) == (1, True)
