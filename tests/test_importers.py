"""Importers: each published layout becomes the table it means, and what is wrong in a file is named."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.errors import TableError
from pinnace.eval.importers import LAYOUTS, read_layout
from pinnace.eval.importers.cells import cost_of, score_of
from pinnace.eval.importers.published import Published, table_of_published
from pinnace.eval.sheet_rows import sheet_rows
from pinnace.eval.table import OutcomeTable, table_of
from pinnace.eval.table_file import read_table, write_table
from pinnace.eval.task_rows import Row

SAMPLES = Path(__file__).parent / "samples"
MIXTRAL, GPT4 = "mixtral-8x7b-instruct-v0.1", "gpt-4-1106-preview"
NONE = math.nan


def imported(layout: str, *paths: Path) -> OutcomeTable:
    return read_layout(layout, paths or (SAMPLES / layout,))


def outcome(table: OutcomeTable, name: str, model: str) -> tuple[float, float]:
    """Score and cost of one model on one id."""
    row, column = table.ids.index(name), table.models.index(model)
    return float(table.scores[row, column]), float(table.costs[row, column])


def same(got: tuple[float, float], score: float, cost: float) -> bool:
    return np.array_equal(got, (score, cost), equal_nan=True)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_becomes_a_table_that_a_file_keeps(layout: str, tmp_path: Path) -> None:
    table = imported(layout)
    write_table(table, tmp_path / "t.parquet")
    assert repr(read_table(tmp_path / "t.parquet").columns()) == repr(table.columns())
    assert repr(table_of(table.columns(), "again").columns()) == repr(table.columns())


def test_routellm_is_sheets_of_right_and_wrong_and_judgements_over_ten() -> None:
    table = imported("routellm")
    assert table.models == (MIXTRAL, GPT4)
    assert table.ids == (
        "gsm8k/0", "gsm8k/1", "mmlu/garden_plants/0", "mmlu/garden_plants/1", "mmlu/garden_plants/2",
        "mtbench/81", "mtbench/82",
    )  # fmt: skip
    assert table.tasks == ("gsm8k", "gsm8k", *["garden_plants"] * 3, "writing", "maths")
    assert table.scores[:5].tolist() == [[1, 1], [0, 1], [1, 1], [0, 1], [0, 0]]
    assert table.scores[5].tolist() == [pytest.approx(0.7), pytest.approx(0.95)]
    assert table.scores[6].tolist() == [0.5, 1.0]  # the judgement without a rating does not count
    assert np.isnan(table.costs).all()
    assert table.prompts[6] == "What is the area of a square of side 4?"


def test_routellm_marks_prompts_that_its_routers_were_trained_on() -> None:
    table = imported("routellm")
    assert table.splits == ("contaminated", *["test"] * 5, "contaminated")  # the last by its second turn


def test_routellm_judgements_need_their_questions() -> None:
    with pytest.raises(TableError, match=r"judgements\.jsonl: expected MT-Bench's questions with it"):
        imported("routellm", SAMPLES / "routellm" / "mt_bench" / "judgements.jsonl")


def test_routerbench_is_a_wide_sheet_with_costs_as_billed() -> None:
    table = imported("routerbench")
    assert table.models == (GPT4, "mistralai/mistral-7b-chat")
    assert table.ids == ("metals.dev.1", "talk.dev.0", "metals.dev.1#2", "metals.dev.2")
    assert table.tasks == ("metals", "talk", "metals", "metals")
    assert table.prompts[1] == "Name a fruit.\n\nAnd another, please."
    assert "\n\nWhich of these is a metal?\nA) iron" in table.prompts[0]
    assert same(outcome(table, "talk.dev.0", "mistralai/mistral-7b-chat"), 0.5, 8e-05)  # the first row counts
    assert same(outcome(table, "metals.dev.2", GPT4), NONE, NONE)
    assert table.splits is None


def test_routerbench_reads_the_same_from_parquet_and_from_parts(tmp_path: Path) -> None:
    rows = [row.fields for row in sheet_rows(SAMPLES / "routerbench" / "routerbench_0shot.csv")]
    named = {name: [row[name] for row in rows] for name in rows[0] if name}
    numbers = {
        name: [float(c) if c else None for c in cells] for name, cells in named.items() if is_number(name)
    }
    parquet.write_table(arrow.table(named | numbers), tmp_path / "talk_test.parquet")
    table = imported("routerbench", tmp_path)
    assert table.splits == ("test",) * 4
    without = imported("routerbench")
    np.testing.assert_array_equal(table.scores, without.scores)
    np.testing.assert_array_equal(table.costs, without.costs)
    assert table.prompts == without.prompts


def is_number(name: str) -> bool:
    return name.endswith("|total_cost") or name in (GPT4, "mistralai/mistral-7b-chat")


def test_routerbench_as_a_pickle_is_refused_with_how_to_convert_it(tmp_path: Path) -> None:
    (tmp_path / "routerbench_0shot.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(TableError) as caught:
        imported("routerbench", tmp_path / "routerbench_0shot.pkl")
    assert "got a pickle, which can run any code" in str(caught.value)
    assert "read_pickle('routerbench_0shot.pkl').to_parquet('routerbench_0shot.parquet')" in str(caught.value)


def test_llmrouterbench_takes_the_latest_run_and_no_demo() -> None:
    table = imported("llmrouterbench")
    assert table.ids == ("chess/hybrid/1", "facts/test/1", "facts/test/2", "facts/test/3")
    assert table.splits == ("hybrid", "test", "test", "test")
    assert table.models == ("gpt-5", "Qwen3-8B")
    assert same(outcome(table, "facts/test/3", "gpt-5"), 0.5, 0.00014)
    assert same(outcome(table, "facts/test/1", "Qwen3-8B"), 1.0, NONE)  # no price was ever set for it
    assert same(outcome(table, "facts/test/3", "Qwen3-8B"), NONE, NONE)  # failed
    assert same(outcome(table, "chess/hybrid/1", "Qwen3-8B"), NONE, NONE)


def test_llmrouterbench_files_without_names_go_by_their_folders(tmp_path: Path) -> None:
    shutil.copytree(SAMPLES / "llmrouterbench", tmp_path / "results")
    for path in tmp_path.rglob("*.json"):
        whole = json.loads(path.read_bytes())
        for key in ("model_name", "dataset_name", "split"):
            del whole[key]
        path.write_text(json.dumps(whole), encoding="utf-8")
    assert repr(imported("llmrouterbench", tmp_path).columns()) == repr(imported("llmrouterbench").columns())


def test_avengers_rows_leave_out_models_that_were_filled_in() -> None:
    table = imported("avengers")
    assert dict(zip(table.ids, table.splits or (), strict=True)) == {
        "facts/3": "test", "facts/1": "train", "facts/2": "train",
    }  # fmt: skip
    assert same(outcome(table, "facts/1", "gpt-5"), 1.0, 0.00012)
    assert same(outcome(table, "facts/2", "Qwen3-8B"), NONE, NONE)  # a 0 that took no tokens
    assert same(outcome(table, "facts/3", "Qwen3-8B"), 0.0, NONE)  # a 0 that took some


def test_avengers_training_data_as_a_list() -> None:
    table = imported("avengers", SAMPLES / "avengers" / "training_data.json")
    assert table.ids == ("facts/training_data-0", "facts/training_data-1")
    assert table.scores.tolist() == [[1, 0], [0, 1]]
    assert table.splits is None


def test_routerarena_gathers_the_runs_of_several_routers() -> None:
    folder = SAMPLES / "routerarena"
    table = imported(
        "routerarena",
        folder / "predictions" / "some-router.json",
        folder / "predictions" / "other-router.json",
    )
    assert table.ids == ("Trees_3", "Trees_12", "Birds_night_7")
    assert table.tasks == ("Trees", "Trees", "Birds_night")
    assert same(outcome(table, "Trees_3", "gpt-4.1"), 1.0, 0.000548)  # the first file that has it
    assert same(outcome(table, "Trees_3", "qwen3-30b"), 1.0, 0.00005)  # for optimality: an outcome as well
    assert same(outcome(table, "Trees_12", "gpt-4.1"), 1.0, 0.0005)
    assert same(outcome(table, "Birds_night_7", "gpt-4.1"), NONE, NONE)  # failed


def test_routerarena_cached_results_are_outcomes_of_one_model() -> None:
    table = imported("routerarena", SAMPLES / "routerarena" / "cached_results" / "ministral-3b.jsonl")
    assert table.models == ("ministral-3b",)
    assert same(outcome(table, "Trees_3", "ministral-3b"), 1.0, 4.8e-06)  # the first of two runs
    assert same(outcome(table, "Trees_12", "ministral-3b"), NONE, NONE)


def test_routerdc_counts_any_probability_of_the_right_option_as_right() -> None:
    table = imported("routerdc")
    assert table.ids == ("gsm8k-test/0", "mbpp/0", "mmlu_test/0", "mmlu_train/0", "mmlu_train/1")
    assert table.tasks == ("gsm8k", "mbpp", "mmlu", "mmlu", "mmlu")
    assert table.splits == ("test", "test", "test", "train", "train")
    assert table.models == ("org/one-7b", "org/two-8b")
    assert table.scores.tolist() == [[0.7, 1.0], [0.0, 0.3], [0, 1], [1, 0], [1, 1]]


def edited(layout: str, name: str, old: str, new: str, to: Path) -> Path:
    """A copy of a sample in which one thing is wrong."""
    source = SAMPLES / layout / name
    text = source.read_text(encoding="utf-8")
    assert old in text
    (to / source.name).write_text(text.replace(old, new, 1), encoding="utf-8")
    return to / source.name


RESULT = "bench/facts/test/gpt-5/facts-test-gpt-5-20250930_101500.json"


@pytest.mark.parametrize(
    ("layout", "name", "old", "new", "message"),
    [
        ("routellm", "mmlu/responses/mmlu_garden_plants.csv", "True,True", "True,Yes",
         f"row 1: {GPT4}: expected a score from 0 to 1, or True or False, got 'Yes'"),
        ("routellm", "mmlu/responses/mmlu_garden_plants.csv", "prompt,", "question,",
         "expected columns 'prompt' and one per model"),
        ("routellm", "gsm8k/gsm8k_responses.csv", "True,True,", "True,", "row 1: expected 5 cells, got 4"),
        ("routerbench", "routerbench_0shot.csv", "0.0034700000000000004", "-1",
         f"row 1: {GPT4}|total_cost: expected USD, 0 or more, got '-1'"),
        ("routerbench", "routerbench_0shot.csv", "talk.dev.0", "", "row 2: sample_id: expected text, got ''"),
        ("routerbench", "routerbench_0shot.csv", "eval_name", "task", "expected a column 'eval_name'"),
        ("routerbench", "routerbench_0shot.csv", f",{GPT4},", ",gpt4,", f"expected a column '{GPT4}'"),
        ("llmrouterbench", RESULT, '"score": 0.5', '"score": 50',
         "record 3: score: expected a score from 0 to 1, or True or False, got 50"),
        ("llmrouterbench", RESULT, '"cost": 0.00012', '"cost": "free"',
         "record 1: cost: expected USD, 0 or more, got 'free'"),
        ("llmrouterbench", RESULT, '"index": 2', '"index": null', "record 2: index: expected a number"),
        ("llmrouterbench", RESULT, '"records": [', '"records": {}, "x": [', "records: expected a list"),
        ("avengers", "train.jsonl", '"gpt-5": 1.0', '"gpt-5": "good"',
         "row 1: records.gpt-5: expected a score from 0 to 1, or True or False, got 'good'"),
        ("avengers", "train.jsonl", '"cost": 0.00011', '"cost": -3',
         "row 2: usages.gpt-5.cost: expected USD, 0 or more, got -3"),
        ("avengers", "train.jsonl", '"index": 2', '"index": [2]', "row 2: index: expected a number or text"),
        ("avengers", "train.jsonl", '"query": "How', '"q": "How', "row 1: query: expected text, got None"),
        ("routerarena", "predictions/some-router.json", '"accuracy": 0.0', '"accuracy": 2',
         "row 2: accuracy: expected a score from 0 to 1, or True or False, got 2"),
        ("routerarena", "predictions/some-router.json", '"prediction": "gpt-4.1"', '"prediction": null',
         "row 1: prediction: expected text, got None"),
        ("routerarena", "predictions/other-router.json", '"global_index": "Trees_3"', '"id": 3',
         "row 1: global_index: expected text, got None"),
        ("routerarena", "cached_results/ministral-3b.jsonl", '"evaluation_result": null',
         '"evaluation_result": 1', "row 3: evaluation_result: expected an object or null, got 1"),
        ("routerdc", "mmlu_train.json", "0.9999", "1.9999",
         "row 2: scores.org/two-8b: expected a score from 0 to 1, or True or False, got 1.9999"),
        ("routerdc", "mmlu_train.json", '"scores"', '"score"', "row 1: scores: expected an object"),
        ("routerdc", "mbpp.json", '"question"', '"prompt"', "row 1: question: expected text, got None"),
        ("routerdc", "mbpp.json", "[", "", "expected JSON"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_file_row_and_column(
    layout: str, name: str, old: str, new: str, message: str, tmp_path: Path
) -> None:
    path = edited(layout, name, old, new, tmp_path)
    with pytest.raises(TableError) as caught:
        imported(layout, path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_a_judgement_of_an_unknown_question_is_named(tmp_path: Path) -> None:
    shutil.copytree(SAMPLES / "routellm" / "mt_bench", tmp_path / "mt")
    edited("routellm", "mt_bench/judgements.jsonl", '"question_id": 82', '"question_id": 99', tmp_path / "mt")
    with pytest.raises(TableError, match=r"judgements\.jsonl: row 1: question_id: expected one of .*got 99"):
        imported("routellm", tmp_path)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "nowhere.json", "no such file"),
        (lambda folder: folder, "expected files named"),
    ],
    ids=["missing", "empty"],
)
def test_paths_that_hold_nothing_are_refused(
    layout: str, make: Callable[[Path], Path], message: str, tmp_path: Path
) -> None:
    with pytest.raises(TableError, match=message):
        imported(layout, make(tmp_path))


def test_an_unknown_layout_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(TableError, match=r"expected a layout \(avengers, .*\), got 'routebench'"):
        imported("routebench")


def published(name: str = "a", prompt: str = "Hi", **scores: float) -> Published:
    return Published(f"file: row of {name}", name, "talk", prompt, scores)


def test_two_outcomes_of_one_model_on_one_prompt_are_refused() -> None:
    assert table_of_published([published(m=1.0), published(m=1.0, n=0.0)], "here").scores.tolist() == [[1, 0]]
    with pytest.raises(TableError, match=r"row of a: score of m: expected 1.0 as in an earlier row .* got 0"):
        table_of_published([published(m=1.0), published(m=0.0)], "here")


def test_rows_that_give_no_table_are_refused() -> None:
    with pytest.raises(TableError, match="here: expected at least one scored row, got none"):
        table_of_published([], "here")
    clash = [published("a#2", m=1.0), published("a", m=1.0), published("a", "Ho", m=1.0)]
    with pytest.raises(TableError, match="clashes"):
        table_of_published(clash, "here")


ROW = Row("file: row 1", {})
cells = (
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8) | st.lists(st.integers())
)


@given(value=cells)
def test_a_cell_is_a_number_in_bounds_or_nothing_or_refused(value: object) -> None:
    for read, top in ((score_of, 1.0), (cost_of, math.inf)):
        try:
            number = read(ROW, "key", value)
        except TableError as error:
            assert str(error).startswith("file: row 1: key: expected ")  # noqa: PT017
        else:
            assert math.isnan(number) or 0 <= number <= top


@given(score=st.floats(0, 1))
def test_a_score_reads_the_same_as_a_number_and_as_text(score: float) -> None:
    assert score_of(ROW, "key", score) == score_of(ROW, "key", repr(score)) == score


def test_a_sheet_with_a_column_twice_or_no_sheet_at_all_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,a\n1,2,3\n", encoding="utf-8")
    with pytest.raises(TableError, match=r"t\.csv: columns: expected different names, got 'a' twice"):
        list(sheet_rows(tmp_path / "t.csv"))
    (tmp_path / "t.parquet").write_bytes(b"a,b\n")
    with pytest.raises(TableError, match=r"t\.parquet: not readable as \.parquet"):
        list(sheet_rows(tmp_path / "t.parquet"))


def test_a_sheet_may_hold_very_long_cells(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"a,b\n{'x' * 200_000},1\n", encoding="utf-8")
    assert [len(row.fields["a"]) for row in sheet_rows(tmp_path / "t.csv")] == [200_000]
