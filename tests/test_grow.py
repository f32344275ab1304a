"""Growing from examples to what serves, with a scripted trainer and members: nothing here is a model."""

import json
import random
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from grow_fixtures import (
    ANIMALS,
    EMBEDDER,
    SOUNDS,
    Silent,
    place_of,
    rows_of,
    scripted_fleets,
    sure_where_right,
    tools_of,
    write_rows,
)
from test_fit import table_of
from threadpoolctl import threadpool_limits

from pinnace.config import AdapterMember, load_config
from pinnace.eval.fitting import fit_table
from pinnace.eval.grow import growth as module
from pinnace.eval.grow.growth import Growing
from pinnace.eval.grow.outcome import Growth
from pinnace.eval.grow.plan import Options, plan_growth
from pinnace.eval.grow.registry import undo
from pinnace.eval.grow.setting import read_setting
from pinnace.eval.table_file import read_table, write_table
from pinnace.models.fleet import Fleet
from pinnace.models.tokens import ChatTokenizer
from pinnace.router.state import TABLE, load_state, save_state

pytest.importorskip("detect_secrets")
Scripts = Mapping[str, Sequence[Mapping[str, Any]]]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state with the table that it was fitted from."""
    folder = tmp_path_factory.mktemp("fitted") / "state"
    table = table_of(400)
    with threadpool_limits(1):
        fitted = fit_table(table, EMBEDDER, clusters=4, hold_tokens=2)
    save_state(fitted, folder, table=partial(write_table, table))
    return folder


@pytest.fixture
def place(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("NOT_SET_ANYWHERE", raising=False)
    monkeypatch.chdir(tmp_path)
    return place_of(tmp_path, state)


def grown(place: Path, scripts: Scripts, rows: Sequence[Mapping[str, Any]], **more: Any) -> Growth:
    """What comes of growing from `rows`, measured on 60 others."""
    examples = write_rows(place.parent / "train.jsonl", rows)
    holdout = write_rows(place.parent / "test.jsonl", more.pop("held", rows_of(60, 5_000)))
    options = Options(examples, holdout, more.pop("name", "sounds"))
    setting, tools = read_setting(place), tools_of(place, scripts, **more)
    plan = plan_growth(setting, options, ChatTokenizer(tools.base.folder), lambda: EMBEDDER)
    with threadpool_limits(1):
        return Growing(setting, plan, options, tools, Silent()).run()


GOOD: Scripts = {"sounds": sure_where_right()}


def test_a_specialist_that_holds_is_registered_and_answers(place: Path) -> None:
    before = load_config(place)
    growth = grown(place, GOOD, rows_of(600))
    told = json.loads(json.dumps(growth.as_dict()))
    assert told["registered"] is True
    assert told["before"]["small_share"] <= 0.1
    assert told["small_share"] >= 0.7
    assert told["accuracy"] >= 0.97
    assert told["teacher_accuracy"] == 1.0
    assert told["before"]["usd_per_1k"] > told["usd_per_1k"]
    assert told["teacher"]["configured"] is False
    after = load_config(place)
    (member,) = [each for each in after.fleet if isinstance(each, AdapterMember)]
    assert (member.name, member.base) == ("sounds", "small")
    assert Path(member.adapter, "adapter_model.safetensors").is_file()
    assert after.router.state != before.router.state
    assert load_state(after.router.state or Path()).models == ("small", "large", "sounds")
    assert (after.router.state or Path()).joinpath(TABLE).is_file()
    assert not list(place.parent.glob("grown/work/*"))


def test_undoing_restores_what_was_before_and_so_several_times(place: Path) -> None:
    folder = place.parent / "grown"
    plain = load_config(place)
    grown(place, GOOD, rows_of(600))
    first = load_config(place)
    homes = [
        {"prompt": f"{i} guests ask where some {a} lives", "answer": f"{a} home"} for i, a in _animals(500)
    ]
    script = [{"when": f"some {a}", "answer": f"{a} home", "probability": 0.98} for a in ANIMALS]
    grown(place, {**GOOD, "homes": script}, homes, name="homes", held=homes[:50])
    assert [each.name for each in load_config(place).fleet] == ["small", "sounds", "homes"]
    assert undo(folder).gone == ("homes",)
    assert load_config(place) == first
    done = undo(folder)
    assert (done.gone, done.now) == (("sounds",), None)
    assert load_config(place) == plain
    assert not list(folder.glob("generations/*")) + list(folder.glob("adapters/*"))


def _animals(n: int) -> list[tuple[int, str]]:
    return [(i, ANIMALS[i % len(ANIMALS)]) for i in range(n)]


def test_a_specialist_of_shuffled_labels_is_not_registered(place: Path) -> None:
    """Its answers are those that it would learn: as good as drawn, whatever it claims of them."""
    draw = random.Random(0)
    rows = [row | {"answer": draw.choice(SOUNDS)} for row in rows_of(900)]
    script = [
        {"when": f"{i} times", "answer": draw.choice(SOUNDS), "probability": draw.uniform(0.5, 1)}
        for i in range(100)
    ]
    growth = grown(place, {"sounds": script}, rows)
    told = growth.as_dict()
    assert told["registered"] is False
    assert "no bar of its gate is certified to keep 97% of the teacher's quality" in told["domains"][0]["why"]
    assert told["small_share"] == told["before"]["small_share"]
    assert not (place.parent / "grown" / "current.json").exists()


def test_one_that_got_worse_does_not_replace_what_serves(place: Path) -> None:
    grown(place, GOOD, rows_of(600))
    before = load_config(place)
    scripts = {"sounds": [{"answer": "moo", "probability": 0.9}], "sounds.former": sure_where_right()}
    growth = grown(place, scripts, rows_of(600, 700))
    assert growth.generation is None
    assert growth.as_dict()["before"]["small_share"] >= 0.7
    assert load_config(place) == before


def test_what_it_doubts_it_leaves_to_the_teacher(place: Path) -> None:
    growth = grown(place, {"sounds": sure_where_right(7)}, rows_of(900))
    told = growth.as_dict()
    assert told["registered"] is True
    assert 0.5 <= told["small_share"] <= 0.95
    assert told["accuracy"] >= 0.97
    assert growth.domains[0].accuracy < 0.95


def test_a_teacher_may_be_wrong_where_the_right_answer_is_known(place: Path) -> None:
    rows = [row | {"expected": row["answer"]} for row in rows_of(900)]
    held = [row | {"expected": row["answer"]} for row in rows_of(60, 5_000)]
    for row in (*rows[::10], *held[::10]):
        row["answer"] = "moo"
    told = grown(place, GOOD, rows, held=held).as_dict()
    assert told["teacher_accuracy"] == pytest.approx(0.9)
    assert told["registered"] is True
    assert told["accuracy"] > told["teacher_accuracy"]


def test_an_interrupted_growth_goes_on_where_it_stopped(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fleets: list[Fleet] = []

    def made(*given: Any) -> Fleet:
        fleets.append(scripted_fleets(GOOD)(*given))
        return fleets[-1]

    with monkeypatch.context() as patched:
        patched.setattr(module, "grown_fit", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            grown(place, GOOD, rows_of(400), make_fleet=made)
    assert not (place.parent / "grown" / "current.json").exists()
    assert len(_asked(fleets[0])) > 400
    assert grown(place, GOOD, rows_of(400), make_fleet=made).generation == "0001"
    assert set(_asked(fleets[1])) <= {row["prompt"] for row in rows_of(60, 5_000)}


def _interrupted(*given: Any) -> Any:
    raise KeyboardInterrupt


def _asked(fleet: Fleet) -> list[str]:
    backends: Any = fleet.backends
    return [request.text() for name in ("small", "sounds") for request in backends[name].requests]


def test_domains_that_rows_name_are_grown_together_and_each_is_decided_alone(place: Path) -> None:
    rows = [row | {"domain": "sounds"} for row in rows_of(400)]
    rows += [
        {"prompt": f"{i} please say any word", "answer": f"w{i % 97}", "domain": "words"} for i in range(300)
    ]
    held = [row | {"domain": "sounds"} for row in rows_of(60, 5_000)]
    growth = grown(place, {**GOOD, "words": [{"answer": "w1", "probability": 0.5}]}, rows, held=held)
    assert [(each.plan.name, each.verdict.is_registered) for each in growth.domains] == [
        ("sounds", True),
        ("words", False),
    ]
    state = load_config(place).router.state or Path()
    assert "words" not in load_state(state).models
    assert "grown/words" not in read_table(state / TABLE).tasks
