"""`pinnace rate` and `pinnace fit --from-ledger`, as a user types them."""

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest
from cli_fixtures import Done, Run, configure, runner
from ledger_samples import accepted, escalated, write_ledger
from test_fit import table_of
from test_learning import EMBEDDER, upside_down
from threadpoolctl import threadpool_limits

from pinnace.cli import learn as learning
from pinnace.eval.fitting import fit_table
from pinnace.eval.table import OutcomeTable
from pinnace.eval.table_file import write_table
from pinnace.router.ledger_feedback import read_feedback
from pinnace.router.state import load_state, save_state


@pytest.fixture
def pinnace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Generator[Run, None, None]:
    """Runs `pinnace` beside a configuration, an outcome table, and a ledger of which half is rated.

    Its embedder hashes into few dimensions, so that fitting is quick.
    """
    monkeypatch.setattr(learning, "load_embedder", lambda source: EMBEDDER)
    monkeypatch.chdir(tmp_path)
    configure(tmp_path)
    write_table(table_of(120), tmp_path / "outcomes.jsonl")
    rows = [accepted(f"a{i}", 0.9, prompt=f"Name the capital of Peru {i}") for i in range(30)]
    rows += [escalated(f"b{i}", 0.3, "12", "13", prompt=f"Add {i} and 3 please") for i in range(30)]
    write_ledger(tmp_path / "ledger.sqlite", rows, {f"a{i}": 1.0 for i in range(15)})

    with threadpool_limits(1):
        yield runner(monkeypatch, capsys)


def test_rate_writes_a_rating(pinnace: Run, tmp_path: Path) -> None:
    assert pinnace("rate", "b1", "0.5") == Done(0, "b1 is rated 0.5\n", "")
    assert pinnace("rate", "b1", "1", "--json").json() == {"request_id": "b1", "rating": 1.0}
    assert [each.rating for each in read_feedback(tmp_path / "ledger.sqlite")["b1"]] == [0.5, 1.0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(("b1", "2"), "{rating}"), (("zz", "1"), "id of a served request, got 'zz'")],
)
def test_what_cannot_be_rated_is_refused(pinnace: Run, arguments: tuple[str, ...], told: str) -> None:
    done = pinnace("rate", *arguments)
    assert done.code == 2
    assert told in done.err


def test_a_rating_without_a_ledger_is_refused(pinnace: Run, tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").unlink()
    done = pinnace("rate", "b1", "1")
    assert (done.code, "no ledger at" in done.err) == (2, True)
    assert not (tmp_path / "ledger.sqlite").exists()


LEARN = ("fit", "outcomes.jsonl", "--from-ledger", "default", "-o", "state", "--clusters", "2")


def serve(table: OutcomeTable) -> None:
    """Put a state of these rows in the place of the one that serves."""
    state = fit_table(table, EMBEDDER, clusters=2, hold_tokens=4, sources=["elsewhere"])
    save_state(state, Path("state"))


def test_a_worse_state_is_left_beside_and_nothing_is_lost_unless_forced(pinnace: Run) -> None:
    write_table(upside_down(table_of(120)), Path("outcomes.jsonl"))
    serve(table_of(300, seed=5))
    before = {path.name: path.read_bytes() for path in Path("state").iterdir()}
    told = pinnace(*LEARN, "--json").json()
    assert (told["is_promoted"], told["out"]) == (False, "state.candidate")
    assert told["why"] == "it has no gate for small"
    assert {path.name: path.read_bytes() for path in Path("state").iterdir()} == before
    assert load_state(Path("state.candidate")).provenance.rows == 180
    assert told["ledger"] == {
        "requests": 60, "used": 60, "rated": 15, "compared": 30, "expected": 15, "unused": {},
    }  # fmt: skip
    assert set(told["verdict"]) >= {"gain", "rows", "differing", "unknown", "extra_usd_per_1k"}
    forced = pinnace(*LEARN, "--force", "--json").json()
    assert (forced["is_promoted"], forced["out"]) == (True, "state")
    assert load_state(Path("state")).provenance.rows == 180


def test_where_nothing_serves_the_new_state_does_and_learning_it_again_changes_nothing(pinnace: Run) -> None:
    done = pinnace(*LEARN)
    assert (done.code, done.err) == (0, "")
    assert "60 of 60 requests teach something: 15 rated answers, 30 compared drafts, 15 expected" in done.out
    assert "the new state of 180 rows replaces the one that serves: no state serves yet" in done.out
    first = load_state(Path("state")).provenance
    assert (first.rows, first.sources) == (180, ("outcomes.jsonl", "ledger.sqlite"))
    again = pinnace(*LEARN)
    assert (again.code, again.err) == (0, "")
    assert "replaces the one that serves: worth +0.0000 a request" in again.out
    assert "0 rows served differently" in again.out
    assert load_state(Path("state")).provenance.table_sha256 == first.table_sha256
    assert not Path("state.candidate").exists()


def test_a_ledger_can_be_learnt_from_alone(pinnace: Run) -> None:
    done = pinnace("fit", "--from-ledger", "ledger.sqlite", "-o", "other", "--clusters", "2")
    assert done.code == 0
    assert load_state(Path("other")).models == ("small",)


def test_a_ledger_without_prompts_is_refused(pinnace: Run) -> None:
    write_ledger(Path("bare.sqlite"), [replace(accepted("a", 0.9), prompt=None)])
    done = pinnace("fit", "outcomes.jsonl", "--from-ledger", "bare.sqlite", "-o", "state")
    assert (done.code, "0 of 1 requests teach something (1: no stored prompt)" in done.err) == (2, True)


def test_nothing_to_fit_on_is_refused(pinnace: Run) -> None:
    done = pinnace("fit", "-o", "state")
    assert (done.code, "expected outcome tables or --from-ledger, got neither" in done.err) == (2, True)
