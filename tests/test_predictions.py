"""A foreign router's choices: read from every form, and matched to the rows of a table."""

import json
from pathlib import Path

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.errors import TableError
from pinnace.eval.predictions import Predictions, chosen_columns, read_predictions
from pinnace.eval.table import OutcomeTable, table_of

SAMPLES = Path(__file__).parent / "samples"
CHOICES = {"id": ["a", "b"], "model": ["small", "large"]}


def table(*ids: str, models: tuple[str, ...] = ("small", "large")) -> OutcomeTable:
    columns = {"id": list(ids), "task": [""] * len(ids), "prompt": list(ids)}
    return table_of(columns | {f"score:{model}": [1.0] * len(ids) for model in models}, "t")


def test_routerarena_predictions_without_those_for_optimality() -> None:
    found = read_predictions(SAMPLES / "routerarena" / "predictions" / "some-router.json")
    assert found == Predictions(
        "some-router", ("Trees_3", "Trees_12", "Birds_night_7"), ("gpt-4.1", "qwen3-30b", "gpt-4.1")
    )


def test_routerarena_predictions_with_the_other_spelling() -> None:
    found = read_predictions(SAMPLES / "routerarena" / "predictions" / "other-router.json")
    assert found.models == ("gpt-4.1", "gpt-4.1", "qwen3-30b")


@pytest.mark.parametrize("ending", ["json", "jsonl", "csv", "parquet"])
def test_plain_choices_in_every_form(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"mine.{ending}"
    rows = [dict(zip(CHOICES, row, strict=True)) for row in zip(*CHOICES.values(), strict=True)]
    if ending == "parquet":
        parquet.write_table(arrow.table(CHOICES), path)
    else:
        text = {
            "json": json.dumps(rows),
            "jsonl": "\n".join(map(json.dumps, rows)),
            "csv": "id,model\na,small\nb,large\n",
        }[ending]
        path.write_text(text, encoding="utf-8")
    assert read_predictions(path) == Predictions("mine", ("a", "b"), ("small", "large"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", "id,model\na,small\na,large\n", "p.csv: row 2: id: expected an id of its own, got 'a'"),
        ("p.csv", "id,model\na,\n", "p.csv: row 1: model: expected text, got ''"),
        ("p.csv", "id,choice\na,small\n", "p.csv: row 1: model: expected text, got None"),
        ("p.csv", "id,model\n", "p.csv: expected at least one choice, got none"),
        ("p.jsonl", '{"model": "small"}\n', "p.jsonl: row 1: id: expected text, got None"),
        ("p.json", "{}", "p.json: expected a JSON list, got dict"),
        ("p.txt", "", "expected a name that ends in .json, .jsonl, .csv, .parquet, got 'p.txt'"),
    ],
)
def test_a_wrong_choice_is_named(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(TableError) as caught:
        read_predictions(tmp_path / name)
    assert message in str(caught.value)


def test_choices_are_columns_in_the_order_of_the_table() -> None:
    predictions = Predictions("p", ("c", "a", "b"), ("small", "large", "small"))
    assert chosen_columns(predictions, table("a", "b")).tolist() == [1, 0]


def test_rows_without_a_choice_are_counted_and_named() -> None:
    with pytest.raises(TableError) as caught:
        chosen_columns(Predictions("p", ("a",), ("small",)), table("a", "b", "c", "d", "e"))
    assert str(caught.value) == (
        "p: expected a choice for each of the table's 5 rows, got none for 4: 'b', 'c', 'd', ..."
    )


def test_a_model_that_the_table_does_not_have_comes_with_the_nearest() -> None:
    with pytest.raises(TableError) as caught:
        chosen_columns(Predictions("p", ("a",), ("larg",)), table("a"))
    assert str(caught.value) == (
        "p: id 'a': expected one of the table's models, got 'larg'; did you mean 'large'?"
    )


@given(picks=st.lists(st.integers(0, 2), min_size=1, max_size=20), order=st.randoms(use_true_random=False))
def test_choices_come_back_whatever_their_order(picks: list[int], order: object) -> None:
    models = ("s", "m", "l")
    ids = [str(number) for number in range(len(picks))]
    pairs = [(name, models[pick]) for name, pick in zip(ids, picks, strict=True)]
    order.shuffle(pairs)  # type: ignore[attr-defined]
    predictions = Predictions("p", *map(tuple, zip(*pairs, strict=True)))
    assert chosen_columns(predictions, table(*ids, models=models)).tolist() == picks
