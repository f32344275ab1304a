"""Outcome tables: what is accepted, what is refused and how, and that files give back what was written."""

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace.errors import TableError
from pinnace.eval.join import join_tables
from pinnace.eval.table import OutcomeTable, table_of
from pinnace.eval.table_file import read_table, write_table

OUTCOMES = Path(__file__).parents[2] / "shared" / "data" / "outcomes"
ENDINGS = (".parquet", ".jsonl", ".jsonl.gz", ".csv")


def columns(**changed):
    return {
        "id": ["a", "b"],
        "task": ["sums", "sums"],
        "prompt": ["What is 1 + 1?", 'He said "2,\n3"'],
        "score:small": [1, None],
        "cost:small": [0.001, math.nan],
    } | {name.replace("__", ":"): values for name, values in changed.items()}


def same(one: OutcomeTable, other: OutcomeTable) -> bool:
    return repr(one.columns()) == repr(other.columns())


texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=20)
numbers = st.none() | st.floats(0, 1)


@st.composite
def tables(draw):
    ids = draw(st.lists(texts.filter(bool), min_size=1, max_size=5, unique=True))
    column = lambda values: draw(st.lists(values, min_size=len(ids), max_size=len(ids)))  # noqa: E731
    named = {"id": ids, "task": column(texts), "split": column(texts), "prompt": column(texts.filter(bool))}
    for model in ("small", "org/large:v1"):
        named |= {f"score:{model}": column(numbers), f"cost:{model}": column(numbers)}
    named["evidence:small"] = column(st.none() | st.dictionaries(texts, st.floats(-20, 0), max_size=3))
    named["answer:small"] = column(st.none() | texts.filter(bool))
    return table_of(named, "drawn")


@pytest.mark.parametrize("ending", ENDINGS)
@settings(max_examples=40, deadline=None)
@given(table=tables())
def test_a_written_table_reads_back_the_same(ending, table, tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / f"t{ending}"
    write_table(table, path)
    assert same(read_table(path), table)


def test_a_null_and_a_nan_both_mean_not_run():
    table = table_of(columns(), "here")
    assert table.models == ("small",)
    assert table.scores[0, 0] == 1
    assert np.isnan(table.scores[1, 0])
    assert np.isnan(table.costs[1, 0])
    assert table.splits is None


def test_columns_it_does_not_know_are_ignored():
    assert same(table_of(columns(dataset=["x", "y"]), "here"), table_of(columns(), "here"))


def test_evidence_is_json_text_or_an_object():
    table = table_of(columns(evidence__small=['{"mean": -0.5}', None]), "here")
    assert table.evidence == {"small": ({"mean": -0.5}, None)}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"score__small": [1, 1.5]}, "t: row 2: score:small: expected a number from 0 to 1, got 1.5"),
        ({"score__small": ["good", 1]}, "t: row 1: score:small: expected a number from 0 to 1, got 'good'"),
        ({"score__small": [math.inf, 1]}, "t: row 1: score:small: expected a number from 0 to 1, got inf"),
        ({"cost__small": [0, -1]}, "t: row 2: cost:small: expected USD, 0 or more, got -1"),
        ({"cost__small": [0, 10**400]}, "t: row 2: cost:small: expected USD, 0 or more, got 1000"),
        ({"id": ["a", None]}, "t: row 2: id: expected text, got None"),
        ({"id": ["a", 7]}, "t: row 2: id: expected text, got 7"),
        ({"prompt": ["", "x"]}, "t: row 1: prompt: expected text, got ''"),
        ({"id": ["a", "a"], "prompt": ["x", "x"]}, "t: row 2: id: expected an id of its own, got 'a'"),
        ({"evidence__small": ["[]", None]}, "t: row 1: evidence:small: expected a JSON object, got '[]'"),
        ({"evidence__small": ["{", None]}, "t: row 1: evidence:small: expected a JSON object, got '{'"),
        ({"split": ["fit", 3]}, "t: row 2: split: expected text or nothing, got 3"),
        ({"answer__small": ["4", 4]}, "t: row 2: answer:small: expected text or nothing, got 4"),
        ({"cost__other": [1, 1]}, "t: column 'cost:other' has no 'score:other' beside it"),
    ],
)
def test_a_wrong_cell_is_refused_with_its_row_and_column(changed, message):
    with pytest.raises(TableError) as caught:
        table_of(columns(**changed), "t")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("missing", ["id", "task", "prompt", "score:small"])
def test_a_missing_column_is_named(missing):
    named = {name: values for name, values in columns().items() if name not in (missing, "cost:small")}
    with pytest.raises(TableError, match=f"expected .*{missing.partition(':')[0]}"):
        table_of(named, "t")


def test_an_id_that_comes_again_with_another_prompt_is_told_apart():
    named = {"id": ["a", "a", "a#2"], "task": [""] * 3, "prompt": ["x", "y", "z"], "score:m": [1, 1, 1]}
    with pytest.raises(TableError, match="clashes"):
        table_of(named, "t")
    named["id"][2] = "b"
    assert table_of(named, "t").ids == ("a", "a#2", "b")


def test_csv_keeps_ids_as_text_and_says_which_row_is_ragged(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("\ufeffid,task,prompt,score:m\r\n007,t,hello,\r\n008,t,ho,0.5\r\n", encoding="utf-8")
    table = read_table(path)
    assert table.ids == ("007", "008")
    assert np.isnan(table.scores[0, 0])
    path.write_text("id,task,prompt,score:m\na,t,hello,1\nb,t\n", encoding="utf-8")
    with pytest.raises(TableError, match="row 2: row: expected 4 cells, got 2"):
        read_table(path)
    path.write_text("id,task,prompt,score:m\na,t,hello,high\n", encoding="utf-8")
    with pytest.raises(TableError, match="row 1: score:m: expected a number from 0 to 1, got 'high'"):
        read_table(path)


def test_json_lines_may_hold_evidence_as_objects_and_lack_keys(tmp_path):
    path = tmp_path / "t.jsonl.gz"
    rows = [
        {"id": "a", "task": "t", "prompt": "x", "score:m": 0.5, "evidence:m": {"mean": -1}},
        {"id": "b", "task": "t", "prompt": "y"},
    ]
    path.write_bytes(gzip.compress("\n\n".join(map(json.dumps, rows)).encode()))
    table = read_table(path)
    assert table.evidence["m"] == ({"mean": -1}, None)
    assert np.isnan(table.scores[1, 0])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.jsonl", b'{"id": "a"}\nnope\n', "row 2: line: expected a JSON object, got 'nope'"),
        ("t.jsonl", b"[1]\n", "row 1: line: expected a JSON object"),
        ("t.jsonl", b"\xff\xfe", "not readable as .jsonl"),
        ("t.jsonl.gz", b"plain", "not readable as .gz"),
        ("t.parquet", b"plain", "not readable as .parquet"),
        ("t.csv", b"", "expected a column 'prompt'"),
        ("t.xlsx", b"", "expected a name that ends in .parquet, .jsonl, .jsonl.gz, .csv"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError) as caught:
        read_table(tmp_path / name)
    assert message in str(caught.value)
    assert name in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TableError, match=r"none\.csv: no such file"):
        read_table(tmp_path / "none.csv")


def test_a_write_that_breaks_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "t.jsonl"
    table = table_of(columns(), "t")
    write_table(table, path)
    before = path.read_bytes()
    broken = table_of(columns(evidence__small=[{"mean": object()}, None]), "t")
    with pytest.raises(TypeError):
        write_table(broken, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["t.jsonl"]


def test_joining_takes_all_rows_and_all_models():
    small = table_of(columns(evidence__small=[{"mean": -1.0}, None]), "small")
    large = table_of(
        {"id": ["b", "c"], "task": ["x", "x"], "split": ["fit", "fit"], "prompt": [small.prompts[1], "Hi"]}
        | {"score:large": [0.5, 1.0], "answer:large": ["three", None]},
        "large",
    )
    joined = join_tables([small, large])
    assert joined.ids == ("a", "b", "c")
    assert joined.tasks == ("sums", "sums", "x")
    assert joined.splits == ("", "", "fit")
    assert joined.models == ("small", "large")
    np.testing.assert_equal(joined.scores, [[1, np.nan], [np.nan, 0.5], [np.nan, 1]])
    assert joined.evidence == {"small": ({"mean": -1.0}, None, None)}
    assert joined.answers == {"large": (None, "three", None)}


def test_joining_refuses_what_does_not_agree():
    table = table_of(columns(), "t")
    with pytest.raises(TableError, match="id 'a' stands for two prompts"):
        join_tables([table, table_of(columns(prompt=["Other?", "x"]), "u")])
    with pytest.raises(TableError, match="id 'a': score:small: two tables differ"):
        join_tables([table, table_of(columns(score__small=[0, None]), "u")])


@settings(max_examples=50, deadline=None)
@given(table=tables())
def test_joining_a_table_with_itself_changes_nothing(table):
    assert same(join_tables([table, table]), table)


@pytest.mark.skipif(not OUTCOMES.is_dir(), reason="the development data is not beside this checkout")
def test_every_published_table_reads():
    shapes = {path.stem: read_table(path).scores.shape for path in sorted(OUTCOMES.glob("*.parquet"))}
    assert shapes == {
        "llmrouter_uiuc": (6108, 9),
        "mmlu_pro": (12032, 29),
        "routellm": (15441, 2),
        "routerbench_subset": (3178, 11),
        "routerdc_7models": (20600, 7),
    }
