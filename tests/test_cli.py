"""The command line, run in this process on a scripted fleet and a small fitted state."""

import json
import subprocess
import sys
from importlib.metadata import version
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from cli_fixtures import Done, Run, configure, runner
from test_fit import table_of

from pinnace.cli.app import print_json
from pinnace.eval.table_file import read_table, write_table
from pinnace.router.ledger import read_ledger
from pinnace.router.state import load_state

FIGS = [
    {"instruction": f"Bo had {n} figs and ate {n - 3}. How many now?", "answer": "3.0"} for n in range(4, 24)
]


@pytest.fixture
def pinnace(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path) -> Run:
    """Runs `pinnace` with the arguments that it is given, in the folder of its configuration."""
    monkeypatch.chdir(folder)
    return runner(monkeypatch, capsys)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a configuration, and an outcome table to fit on."""
    configure(tmp_path)
    write_table(table_of(300), tmp_path / "outcomes.jsonl")
    return tmp_path


@pytest.fixture
def fitted(pinnace: Run, folder: Path) -> Path:
    """The same, fitted."""
    done = pinnace("fit", "outcomes.jsonl", "-o", "state", "--clusters", "2")
    assert (done.code, done.err) == (0, "")
    return folder


def test_json_has_null_where_a_number_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"mean": nan, "deep": [{"bounds": (-inf, 0.5, inf)}], "rows": 3})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "mean": None, "deep": [{"bounds": [None, 0.5, None]}], "rows": 3,
    }  # fmt: skip


def test_version(pinnace: Run) -> None:
    assert pinnace("version") == Done(0, version("pinnace") + "\n", "")


@pytest.mark.parametrize(
    "command",
    [
        [], ["serve"], ["ask"], ["route"], ["fit"], ["rate"], ["bench"], ["version"],
        ["models", "list"], ["models", "pull"], ["models", "card"], ["eval", "live"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_every_command_has_help_with_an_example(pinnace: Run, command: list[str]) -> None:
    done = pinnace(*command, "--help")
    assert done.code == 0
    assert not command or f"pinnace {' '.join(command)}" in done.out.partition("Example:")[2]


def spawned(*arguments: str, cwd: Path | None = None) -> Done:
    """`pinnace` as a process of its own."""
    command = [sys.executable, "-m", "pinnace", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def test_as_a_process_of_its_own() -> None:
    assert spawned("version") == Done(0, version("pinnace") + "\n", "")


def test_fit_writes_a_state_and_tells_how_good_it_is(pinnace: Run, folder: Path) -> None:
    done = pinnace("fit", "outcomes.jsonl", "-o", "state", "--clusters", "2", "--hold-tokens", "4")
    assert done.code == 0
    assert "router state of 300 rows written to state" in done.out
    assert "small/whole/auroc" in done.out
    state = load_state(folder / "state")
    assert (state.hold_tokens, state.models, len(state.clusters.labels)) == (4, ("small", "large"), 2)
    assert state.provenance.sources == ("outcomes.jsonl",)


def test_fit_in_json(pinnace: Run) -> None:
    told = pinnace("fit", "outcomes.jsonl", "-o", "state", "--json").json()
    assert (told["rows"], told["models"]) == (300, ["small", "large"])
    assert set(told["tasks"]) == {"sums", "capitals"}


def test_route_explains_and_runs_nothing(pinnace: Run, fitted: Path) -> None:
    done = pinnace("route", "Name the capital of Peru now")
    assert done.code == 0
    assert "Decision (cascade): small first" in done.out
    assert "1. ask small; keep its answer if it is at least" in done.out
    assert "2. otherwise ask large" in done.out
    assert not (fitted / "ledger.sqlite").exists()


def test_route_in_json(pinnace: Run, fitted: Path) -> None:
    told = pinnace("route", "Name the capital of Peru now", "--json").json()
    assert [rung["model"] for rung in told["rungs"]] == ["small", "large"]
    assert told["strategy"] == "cascade"
    assert {estimate["model"] for estimate in told["estimates"]} == {"small", "large"}


@pytest.mark.parametrize("prompt", ["", "[/bold] [red]", "🚢" * 5000, "\\n\\0"])
def test_route_takes_any_prompt(pinnace: Run, fitted: Path, prompt: str) -> None:
    assert pinnace("route", prompt).code == 0


def test_ask_answers_on_stdout_and_tells_the_route_on_stderr(pinnace: Run, fitted: Path) -> None:
    done = pinnace("ask", "Name the capital of Peru now")
    assert (done.code, done.out) == (0, "It is Lima.\n")
    assert "small; accepted: confidence" in done.err
    (row,) = read_ledger(fitted / "ledger.sqlite")
    assert (row.model, row.asked_model, row.outcome) == ("small", "auto", "accepted")


def test_ask_climbs(pinnace: Run, fitted: Path) -> None:
    done = pinnace("ask", "Name the capital of Cuba now")
    assert done.out == "It is 42.\n"
    assert "small > large; escalated: small: confidence" in done.err


def test_ask_a_named_model(pinnace: Run, fitted: Path) -> None:
    done = pinnace("ask", "Name the capital of Peru now", "--model", "large", "--max-tokens", "2")
    assert done.out == "It is \n"
    assert "pinned: the request names large" in done.err


def test_models_list_shows_the_fleet_and_who_is_absent(pinnace: Run) -> None:
    done = pinnace("models", "list")
    assert done.code == 0
    assert all(name in done.out for name in ("small", "large", "absent", "2 / 8"))
    assert "NOT_SET_ANYWHERE is not set" in done.out
    told = pinnace("models", "list", "--json").json()
    assert [(row["name"], row["backend"]) for row in told] == [
        ("small", "scripted"),
        ("large", "scripted"),
        ("absent", "absent"),
    ]


def test_models_card_shows_no_key(pinnace: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOT_SET_ANYWHERE", "http://127.0.0.1:1/v1")
    done = pinnace("models", "card", "absent")
    assert done.code == 0
    assert "http://127.0.0.1:1/v1" in done.out
    assert "s3cr3t" not in done.out + done.err
    told = pinnace("models", "card", "absent", "--json").json()
    assert (told["name"], told["backend"], told["tools"]) == ("absent", "openai", True)


def test_models_pull_has_nothing_to_do_for_a_scripted_fleet(pinnace: Run) -> None:
    assert pinnace("models", "pull", "--json").json() == []


def test_eval_live_writes_a_table_that_can_be_fitted(pinnace: Run, folder: Path) -> None:
    (folder / "tasks").mkdir()
    (folder / "tasks" / "svamp_test.json").write_text(json.dumps(FIGS), encoding="utf-8")
    base = ["eval", "live", "svamp", "--data", "tasks", "--model", "small", "--keep-answers"]
    done = pinnace(*base, "-o", "live.jsonl")
    assert done.code == 0
    assert "mean score 1.000, 0 failed" in done.err
    table = read_table(folder / "live.jsonl")
    assert table.models == ("small",)
    assert set(table.answers["small"]) == {"There are 3 figs."}
    assert [path.name for path in folder.glob("live*")] == ["live.jsonl"]
    told = pinnace(*base, "--rows", "3", "-o", "few.parquet", "--json").json()
    (small,) = told["models"]
    assert (small["asked"], small["mean_score"], small["failures"]) == (3, 1.0, [])


# What goes wrong, and how that is told.


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"sever": {}}, "sever: unknown key; did you mean 'server'?"),
        ({"router": {"policy": {"alhpa": 1}}}, "router.policy.alhpa: unknown key; did you mean 'alpha'?"),
        ({"fleet": []}, "fleet: expected a list of at least one model, got none"),
        (
            {"fleet": [{"name": "a", "backend": "openai", "api_key": "sk-s3cr3t"}]},
            "fleet.0.base_url: Field required",
        ),
    ],
)
@pytest.mark.parametrize("command", [["models", "list"], ["route", "hi"], ["ask", "hi"]], ids=" ".join)
def test_a_bad_configuration_is_bad_usage(
    pinnace: Run, folder: Path, sections: dict[str, Any], said: str, command: list[str]
) -> None:
    configure(folder, **sections)
    done = pinnace(*command)
    assert (done.code, done.out) == (2, "")
    assert said in " ".join(done.err.split())
    assert "s3cr3t" not in done.err
    assert "Traceback" not in done.err


def test_serving_with_a_bad_configuration_is_bad_usage(folder: Path) -> None:
    configure(folder, sever={})
    done = spawned("serve", cwd=folder)
    assert (done.code, done.out) == (2, "")
    assert "sever: unknown key; did you mean 'server'?" in " ".join(done.err.split())
    assert "Traceback" not in done.err


def test_a_configuration_that_is_not_there_is_bad_usage(pinnace: Run) -> None:
    done = pinnace("models", "list", "--config", "nowhere.yaml")
    assert done.code == 2
    assert "no configuration at 'nowhere.yaml': give one with --config" in done.err


@pytest.mark.parametrize("command", [["models", "card", "gpt"], ["models", "pull", "gpt"]], ids=" ".join)
def test_an_unknown_model_is_named_with_those_that_there_are(pinnace: Run, command: list[str]) -> None:
    done = pinnace(*command)
    assert done.code in (1, 2)
    assert "the fleet has no model 'gpt'; it has: small, large" in done.err


def test_asking_an_unknown_model_fails(pinnace: Run, fitted: Path) -> None:
    done = pinnace("ask", "hi", "--model", "gpt")
    assert (done.code, done.out) == (1, "")
    assert "the fleet has no model 'gpt'; it has: auto, small, large" in done.err


def test_live_on_an_unknown_model_or_suite_is_bad_usage(pinnace: Run, folder: Path) -> None:
    (folder / "tasks").mkdir()
    (folder / "tasks" / "svamp_test.json").write_text(json.dumps(FIGS), encoding="utf-8")
    done = pinnace("eval", "live", "svamp", "--data", "tasks", "--model", "gpt", "-o", "x.jsonl")
    assert done.code == 2
    assert "--models: expected some of small, large, auto, got 'gpt'" in done.err
    done = pinnace("eval", "live", "swamp", "--data", "tasks", "--model", "small", "-o", "x.jsonl")
    assert done.code == 2
    assert "no suite 'swamp'" in done.err


def test_a_route_without_a_state_fails(pinnace: Run) -> None:
    done = pinnace("route", "hi")
    assert done.code == 1
    assert "not a router state" in done.err
    assert "Traceback" not in done.err


def test_a_table_that_is_wrong_is_bad_usage(pinnace: Run, folder: Path) -> None:
    (folder / "bad.jsonl").write_text('{"id": 1}\n', encoding="utf-8")
    done = pinnace("fit", "bad.jsonl", "-o", "state")
    assert done.code == 2
    assert "bad.jsonl" in done.err
    assert not (folder / "state").exists()


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["route"], ["fit", "x.jsonl"], ["serve", "--port", "99999"]]
)
def test_wrong_arguments_are_bad_usage(pinnace: Run, arguments: list[str]) -> None:
    assert pinnace(*arguments).code == 2
