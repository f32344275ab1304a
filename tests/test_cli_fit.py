"""`pinnace fit --add-to`, and the keys that commands print in JSON, each of which the documentation has."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from cli_fixtures import Run, configure, runner
from ledger_samples import accepted, escalated, write_ledger
from printed_keys import differences
from replay_worlds import QUICK, world
from test_added_model import alone, with_middle
from test_fit import table_of
from test_learning import EMBEDDER
from threadpoolctl import threadpool_limits

from pinnace.cli import add, eval_gate, eval_replay, learn
from pinnace.cli import fit as fitting
from pinnace.eval.fitting import fit_table
from pinnace.eval.table_file import write_table
from pinnace.router.embedder import HashingEmbedder
from pinnace.router.state import load_state, save_state

ADD = ("fit", "more.jsonl", "--add-to", "state", "-o", "grown")


@pytest.fixture
def pinnace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Generator[Run, None, None]:
    """Runs `pinnace` beside a state of 200 rows, and a table of the same with one model more."""
    for module in (add, eval_gate, learn):
        monkeypatch.setattr(module, "load_embedder", lambda source: EMBEDDER)
    monkeypatch.chdir(tmp_path)
    configure(tmp_path)
    with threadpool_limits(1):
        save_state(fit_table(table_of(200), EMBEDDER, clusters=2, hold_tokens=2), Path("state"))
        write_table(with_middle(table_of(200)).take(range(120)), Path("more.jsonl"))
        yield runner(monkeypatch, capsys)


def test_a_model_joins_and_it_is_told_how_well_it_is_predicted(pinnace: Run) -> None:
    done = pinnace(*ADD)
    assert (done.code, done.err) == (0, "")
    for part in (
        "middle joins by 120 scored rows",
        "squared error, held out:",
        "quality floors and budgets are calibrated on 120 rows with it",
        "whole/auroc",
        "known before and left as they are: small, large",
        "router state of 3 models written to grown",
    ):
        assert part in done.out
    assert load_state(Path("grown")).models == ("small", "large", "middle")
    assert load_state(Path("grown")).provenance.sources == ("more.jsonl",)
    assert load_state(Path("state")).models == ("small", "large")


def test_a_state_may_grow_in_its_place(pinnace: Run) -> None:
    assert pinnace("fit", "more.jsonl", "--add-to", "state", "-o", "state").code == 0
    assert load_state(Path("state")).models == ("small", "large", "middle")
    again = pinnace("fit", "more.jsonl", "--add-to", "state", "-o", "state")
    assert (again.code, "expected a model that the state does not know" in again.err) == (2, True)


def test_where_floors_cannot_know_it_that_is_said(pinnace: Run) -> None:
    write_table(alone(with_middle(table_of(100, seed=3))), Path("more.jsonl"))
    said = " ".join(pinnace(*ADD).out.split())
    assert "a quality floor always asks the large model" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--clusters", "3", "--force"),
            "the state has all but the new models, expected no --force, --clusters",
        ),
        (("--from-ledger", "default"), "expected no --from-ledger"),
    ],
)
def test_what_a_whole_fit_decides_cannot_be_asked_for(
    pinnace: Run, arguments: tuple[str, ...], said: str
) -> None:
    done = pinnace(*ADD, *arguments)
    assert (done.code, said in " ".join(done.err.split())) == (2, True)
    assert not Path("grown").exists()


def test_too_few_rows_are_bad_usage(pinnace: Run) -> None:
    write_table(with_middle(table_of(40)), Path("more.jsonl"))
    done = pinnace(*ADD)
    assert (done.code, "at least 50 scored rows to add it, got 40" in done.err) == (2, True)


# The keys.


def test_every_key_of_fit_is_documented(pinnace: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "load_embedder", lambda source: EMBEDDER)
    told = pinnace("fit", "more.jsonl", "-o", "whole", "--clusters", "2", "--json").json()
    assert differences("pinnace fit", told) == []


def test_every_key_of_an_added_model_is_documented(pinnace: Run) -> None:
    assert differences("pinnace fit --add-to", pinnace(*ADD, "--json").json()) == []


def test_every_key_of_learning_is_documented(pinnace: Run) -> None:
    rows = [accepted(f"a{i}", 0.9, prompt=f"Name the capital of Peru {i}") for i in range(30)]
    rows += [escalated(f"b{i}", 0.3, "12", "13", prompt=f"Add {i} and 3 please") for i in range(30)]
    rows.append(accepted("bare", 0.9, prompt=None))
    write_ledger(Path("ledger.sqlite"), rows, {f"a{i}": 1.0 for i in range(15)})
    write_table(table_of(120), Path("outcomes.jsonl"))
    learnt = ("fit", "outcomes.jsonl", "--from-ledger", "default", "-o", "state", "--clusters", "2", "--json")
    assert differences("pinnace fit --from-ledger", pinnace(*learnt).json()) == []


def test_every_key_of_a_replay_is_documented(pinnace: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eval_replay, "METHODS", QUICK)
    monkeypatch.setattr(eval_replay, "load_embedder", lambda source: HashingEmbedder(64))
    write_table(world(), Path("world.parquet"))
    found = pinnace("eval", "replay", "world.parquet", "--seeds", "1", "--draws", "20", "--json").json()
    assert differences("pinnace eval replay", found) == []


def test_every_key_of_a_gate_is_documented(pinnace: Run) -> None:
    write_table(table_of(200), Path("outcomes.jsonl"))
    given = ("eval", "gate", "outcomes.jsonl", "--state", "state", "--draws", "100", "--json")
    assert differences("pinnace eval gate", pinnace(*given).json()) == []


def test_a_key_that_is_not_documented_or_not_printed_is_found(pinnace: Run) -> None:
    told: dict[str, Any] = pinnace(*ADD, "--json").json()
    told["new"] = {"key": 1}
    del told["known"]
    found = differences("pinnace fit --add-to", told)
    assert found == ["not documented: new.key", "not printed: known"]
