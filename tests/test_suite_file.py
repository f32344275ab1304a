"""Suite files: what may stand in one, what is refused, and what becomes of its rows."""

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from pinnace.errors import ConfigError, TableError
from pinnace.eval.suites import read_suite, shipped_suite, suite_names

TASKS = Path(__file__).resolve().parents[2] / "shared" / "data" / "tasks"
ROWS = [{"q": f"What is {n} and {n}?", "a": {"sum": 2 * n}, "level": n} for n in range(1, 9)]
SUITE = {
    "rule": "number",
    "max_tokens": 8,
    "prompt": "Add. {q}",
    "fields": {"text": "q", "expected": "a.sum"},
    "rows": [
        {"name": "train", "split": "fit", "file": "sums.jsonl", "where": {"level": [1, 6]}},
        {"name": "test", "split": "held", "file": "sums.jsonl", "where": {"level": [7, 8]}},
    ],
}
DEFAULT_STATE = {
    "arc_challenge": "628d7fc844b67715",
    "arc_easy": "803c1ce301cc8acf",
    "arc_open": "7f044cd29c840c92",
    "arithmetic": "c5e9697db5a7b33f",
    "basic_facts": "bd413f7c23d492ae",
    "boolq": "2d89572ba6b5efbe",
    "clinc_oos": "de77939155651a5e",
    "gsm8k": "04a77a94b2d752ca",
    "mmlu": "78874df10f7f1832",
    "mt_bench": "558aa2f563fba108",
    "openbookqa": "16a135e38a1b6247",
    "svamp": "1064bf43900e1076",
    "trec": "c5f466fd5845eb14",
}
"""Of all that is asked and expected, taken before suites were files: the shipped state was fitted on it."""


def write(folder, **keys):
    (folder / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    path = folder / "sums.yaml"
    path.write_text(yaml.safe_dump({**SUITE, **keys}), encoding="utf-8")
    return str(path)


def test_a_suite_file_reads_rows_beside_it(tmp_path):
    examples = read_suite(write(tmp_path), tmp_path / "elsewhere")
    assert [e.split for e in examples] == ["fit"] * 6 + ["held"] * 2
    first = examples[0]
    assert (first.task, first.prompt, first.question) == ("sums", "Add. What is 1 and 1?", "What is 1 and 1?")
    assert (first.expected, first.rule, first.max_tokens) == ("2", "number", 8)
    assert first.id.startswith("sums-train-")


def test_rows_that_are_not_beside_it_are_read_from_the_data(tmp_path):
    name = write(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "sums.jsonl").rename(data / "sums.jsonl")
    assert len(read_suite(name, data)) == 8


def test_solved_examples_are_drawn_from_training_rows_with_a_seed(tmp_path):
    name = write(tmp_path, shots=3, shot="It is {expected}.")
    pools = [read_suite(name, tmp_path, seed=seed)[0].asking.pool for seed in (0, 0, 1)]
    assert pools[0] == pools[1] != pools[2]
    assert {shot.prompt for shot in pools[0]} == {f"Add. What is {n} and {n}?" for n in range(1, 7)}
    assert all(shot.answer == f"It is {2 * int(shot.prompt.split()[3])}." for shot in pools[0])
    with pytest.raises(TableError, match="shots: expected 7 training rows, got 6"):
        read_suite(write(tmp_path, shots=7), tmp_path)


def test_labels_stand_in_templates_and_others_are_refused(tmp_path):
    rows = [{"name": "r", "split": "held", "file": "sums.jsonl"}]
    keys = {"rule": "label", "labels": ["two", "four"], "prompt": "{q} ({labels})", "rows": rows}
    words = {"2": "two", "4": "four", "6": "six"}
    field = {"text": "q", "expected": {"from": "a.sum", "map": words}}
    with pytest.raises(TableError, match=r"row 3: a\.sum: expected one of 2 labels, got 'six'"):
        read_suite(write(tmp_path, fields=field, **keys), tmp_path)
    rows[0]["where"] = {"level": [1, 2]}
    one, two = read_suite(write(tmp_path, fields=field, **keys), tmp_path)
    assert (one.prompt, one.choices, two.expected) == (
        "What is 1 and 1? (two, four)",
        ("two", "four"),
        "four",
    )


def test_rows_out_of_scope_are_a_task_of_their_own(tmp_path):
    rows = [
        {"name": "in", "split": "held", "file": "sums.jsonl", "where": {"level": [1, 2]}},
        {
            "name": "out",
            "split": "held",
            "file": "sums.jsonl",
            "where": {"level": [3, 3]},
            "out_of_scope": True,
            "fields": {"expected": {"from": "a.sum", "map": {"6": "0"}}},
        },
    ]
    inside, _, outside = read_suite(write(tmp_path, rows=rows), tmp_path)
    assert (inside.task, outside.task) == ("sums", "sums/out_of_scope")
    assert inside.rejection == outside.rejection == outside.expected == "0"


def test_tools_and_a_schema_may_stand_in_the_suite_or_in_the_row(tmp_path):
    add = {"name": "add", "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}}}
    schema = {"type": "object", "properties": {"sum": {"type": "integer"}}}
    (one, *_) = read_suite(write(tmp_path, tools=[add], tool_choice="required", json_schema=schema), tmp_path)
    assert one.asking.tools == ({"type": "function", "function": add},)
    assert one.asking.tool_choice == "required"
    assert one.asking.response_format["json_schema"]["schema"] == schema
    with pytest.raises(TableError, match="row 1: offered: expected a list of objects, got None"):
        read_suite(write(tmp_path, tools="offered"), tmp_path)
    with pytest.raises(TableError, match="row 1: form: expected a JSON schema, got None"):
        read_suite(write(tmp_path, json_schema="form"), tmp_path)


def test_a_file_of_prompts_and_answers_is_a_suite(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"prompt": "Say yes", "answer": "Yes"}\n', encoding="utf-8")
    (one,) = read_suite(str(path), tmp_path)
    assert (one.task, one.prompt, one.expected, one.rule, one.split) == (
        "mine",
        "Say yes",
        "Yes",
        "exact",
        "held",
    )


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"max_token": 8}, "max_token: unknown key; did you mean 'max_tokens'?"),
        ({"rule": "numbre"}, "rule: Input should be 'number'"),
        ({"rows": []}, "rows: Tuple should have at least 1 item"),
        (
            {"rows": [{"name": "r", "spilt": "held", "file": "f"}]},
            "rows.0.spilt: unknown key; did you mean 'split'?",
        ),
        ({"rows": [{"name": "r", "split": "held"}]}, "rows.0: expected either 'file' or 'made'"),
        (
            {"rows": [{"name": "r", "split": "held", "file": "f", "form": "pairs"}]},
            "rows.0: expected 'key', where the pairs are in the file",
        ),
        (
            {"rows": [SUITE["rows"][0], dict(SUITE["rows"][0], where={})]},
            "rows: every name must differ, got ['train'] more than once",
        ),
        (
            {"fields": {"text": {"from": "q", "match": "("}}},
            "fields.text: expected a regular expression, got '('",
        ),
        (
            {"fields": {"text": {"from": "q", "match": "q"}}},
            "match: expected a group in parentheses, got 'q'",
        ),
        ({"fields": {"text": {"form": "q"}}}, "fields.text.form: unknown key; did you mean 'from'?"),
        ({"rule": "label"}, "the rule 'label' needs the key 'labels'"),
        ({"rule": "calls"}, "the rule 'calls' needs the key 'tools'"),
        ({"rule": "code"}, "the rule 'code' needs the key 'code'"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1, got 0"),
        ({"shots": 33}, "shots: Input should be less than or equal to 32, got 33"),
    ],
)
def test_what_is_wrong_in_a_suite_file_is_named(tmp_path, keys, message):
    with pytest.raises(ConfigError) as caught:
        read_suite(write(tmp_path, **keys), tmp_path)
    assert message in str(caught.value)
    assert "sums.yaml" in str(caught.value)


def test_a_suite_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no such suite file"):
        read_suite(str(tmp_path / "none.yaml"), tmp_path)
    (tmp_path / "list.yaml").write_text("[1]")
    with pytest.raises(ConfigError, match="expected a mapping with the key 'rows', got list"):
        read_suite(str(tmp_path / "list.yaml"), tmp_path)


def test_a_row_without_what_the_suite_names_is_told_by_its_key(tmp_path):
    with pytest.raises(TableError, match=r"sums\.jsonl: row 1: qestion: expected text, got None"):
        read_suite(write(tmp_path, prompt="{qestion}"), tmp_path)
    rows = [{"name": "r", "split": "held", "file": "sums.jsonl", "where": {"q": [1, 2]}}]
    with pytest.raises(TableError, match="row 1: q: expected a whole number, got 'What is 1"):
        read_suite(write(tmp_path, rows=rows), tmp_path)


@pytest.mark.parametrize("name", suite_names())
def test_every_suite_that_ships_says_what_it_is_and_whose(name):
    suite = shipped_suite(name)
    assert suite.about
    assert suite.licence


def digest(name):
    """Of everything that is asked and expected in a suite."""
    told = hashlib.sha256()
    for e in read_suite(name, TASKS):
        fields = [
            e.id,
            e.task,
            e.prompt,
            e.expected,
            e.rule,
            list(e.choices),
            e.max_tokens,
            e.split,
            e.question,
        ]
        told.update(json.dumps(fields).encode())
    return told.hexdigest()[:16]


@pytest.mark.skipif(not TASKS.is_dir(), reason="the development data is not beside this checkout")
@pytest.mark.parametrize("name", DEFAULT_STATE)
def test_what_the_shipped_state_was_fitted_on_is_asked_to_the_letter(name):
    assert digest(name) == DEFAULT_STATE[name]
