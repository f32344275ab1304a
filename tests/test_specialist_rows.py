"""What the shipped specialists are trained on: right by construction, and the same from the same seed."""

import importlib
import json
import random
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pinnace.eval.example import Example
from pinnace.eval.rules.calls import by_calls
from pinnace.models.tool_turns import AFTER_NAME, CLOSING, OPENING
from pinnace.models.training.rows import checked_rows

TOOLS = Path(__file__).resolve().parent.parent / "tools" / "specialists"
KINDS = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The modules of tools/specialists."""
    monkeypatch.syspath_prepend(str(TOOLS))
    names = (
        "whole_file",
        "tool_values",
        "tool_parts",
        "tool_calls",
        "word_problems",
        "rows",
        "cards",
        "made_calls",
        "matrix_page",
    )
    modules = {name: importlib.import_module(name) for name in names}
    for name in names:
        monkeypatch.delitem(sys.modules, name)
    return type("Made", (), modules)


def test_calls_fit_the_functions_that_are_offered(made: Any) -> None:
    rows = list(made.tool_calls.tool_call_rows(600, random.Random(0)))
    assert len(checked_rows(rows, most_refused=0).kept) == 600
    called = [row for row in rows if row["answer"] != made.tool_calls.NOT_OFFERED]
    assert 0.7 < len(called) / 600 < 0.9
    for row in called:
        name, _, rest = row["answer"].removeprefix(OPENING).partition(AFTER_NAME)
        arguments = json.loads(rest.removesuffix(CLOSING))
        (function,) = [f["function"] for f in row["tools"] if f["function"]["name"] == name]
        properties = function["parameters"]["properties"]
        assert set(function["parameters"]["required"]) <= set(arguments)
        assert list(arguments) == [key for key in properties if key in arguments]
        for key, value in arguments.items():
            assert isinstance(value, KINDS[properties[key]["type"]])
            assert value in properties[key].get("enum", [value])


def numbers_in(arguments: dict[str, Any]) -> list[float]:
    flat = [each for value in arguments.values() for each in (value if isinstance(value, list) else [value])]
    return [each for each in flat if isinstance(each, int | float) and not isinstance(each, bool)]


def other_words(made: Any, value: object) -> list[str]:
    """How a request may say a value that a call has in other words."""
    texts = made.tool_values.TEXTS
    renamed = [pair.split("=") for kind in ("span_of_days", "city_and_state", "coin") for pair in texts[kind]]
    words = dict(zip(texts["number_word"], map(str, range(2, 13)), strict=True))
    return [
        *(way for said, called in renamed if called == str(value) for way in said.split("|")),
        *(word for word, called in words.items() if called == str(value)),
    ]


def bare(text: str) -> str:
    """A text without what a schema spells otherwise than people say it."""
    return re.sub(r"[-_ ]", "", text).lower()


def test_values_of_a_call_are_in_its_request(made: Any) -> None:
    for row in made.tool_calls.tool_call_rows(300, random.Random(1)):
        if row["answer"] == made.tool_calls.NOT_OFFERED:
            assert row["tool_choice"] == "auto"
            continue
        arguments = json.loads(row["answer"].partition(AFTER_NAME)[2].removesuffix(CLOSING))
        said = row["prompt"].replace(",", "")
        for number in numbers_in(arguments):
            ways = (
                f"{number}",
                f"{-number}° ",
                f"{-number} ",
                *other_words(made, number),
                f"{number * 100:g}%",
                f"{number * 100:g} percent",
                f"{number / 1000:g}k",
                f"{number / 1e6:g} million",
            )
            assert any(way in said for way in ways), row


def test_composed_functions_ask_for_what_their_schema_has(made: Any) -> None:
    draw = random.Random(2)
    names = set()
    for _ in range(500):
        one = made.tool_parts.composed_function(draw)
        names.add(one.name)
        parameters = one.schema["parameters"]
        assert set(parameters["required"]) <= set(one.arguments) <= set(parameters["properties"])
        assert re.fullmatch(r"\w{1,64}", one.name)
        assert not re.search(r"[{}|]|  | [,:]", one.said.replace("{}", "")), one.said
        for name, value in one.arguments.items():
            if isinstance(value, str) and "date" not in name:
                ways = (value, *other_words(made, value))
                is_said = any(bare(way) in bare(one.said) for way in ways)
                assert is_said or re.fullmatch(r"[\d:-]+", value), (one.said, value)
    assert len(names) > 350


def test_a_function_has_one_place_at_most(made: Any) -> None:
    for must in (["location", "from_to"], ["city_state", "coordinates"], ["city_plain", "location"]):
        parameters, _, _ = made.tool_parts._parameters(must, ["city_plain"], random.Random(1))
        assert len(parameters["properties"]) == 1


def test_a_city_is_called_as_the_description_wants_it(made: Any) -> None:
    draw = random.Random(4)
    seen = {"state": 0, "said": 0}
    for _ in range(3000):
        one = made.tool_parts.composed_function(draw)
        for name, value in one.arguments.items():
            about = one.schema["parameters"]["properties"][name]["description"]
            if "City, State" in about or "city and state" in about.lower():
                seen["state"] += bool(re.search(r", [A-Z]{2}$|, ", str(value)))
            elif about.startswith(("The city.", "In which city.")):
                assert value in one.said
                seen["said"] += 1
    assert min(seen.values()) > 30


def test_of_a_list_of_choices_a_call_has_what_is_said(made: Any) -> None:
    draw = random.Random(5)
    lengths = set()
    for _ in range(2000):
        one = made.tool_parts.composed_function(draw)
        for name, value in one.arguments.items():
            choices = one.schema["parameters"]["properties"][name].get("items", {}).get("enum")
            if choices:
                lengths.add(len(value))
                assert set(value) < set(choices)
                said = [each for each in choices if bare(each) in bare(one.said)]
                assert set(value) <= set(said)
    assert lengths == {1, 2, 3}


def test_the_same_seed_makes_the_same_rows(made: Any) -> None:
    for rows_of in (made.tool_calls.tool_call_rows, made.word_problems.word_problem_rows):
        assert list(rows_of(50, random.Random(3))) == list(rows_of(50, random.Random(3)))
        assert list(rows_of(50, random.Random(3))) != list(rows_of(50, random.Random(4)))


def test_no_function_is_one_of_bfcl(made: Any) -> None:
    """Names alone: what a function does, others have thought of as well."""
    bfcl = TOOLS.parents[2] / "shared" / "data" / "tasks" / "bfcl_v4"
    if not bfcl.is_dir():
        pytest.skip("the files of BFCL are not here")
    text = "".join(path.read_text(encoding="utf-8") for path in bfcl.glob("*.json"))
    rows = made.tool_calls.tool_call_rows(2000, random.Random(0))
    made_names = {tool["function"]["name"] for row in rows for tool in row["tools"]}
    listed = {name for each in made.tool_calls.FUNCTIONS for name in each["names"]} | made_names
    ours = sorted({*listed, *(n.replace(".", "_") for n in listed), *(n.replace("_", ".") for n in listed)})
    assert [name for name in ours if f'"name": "{name}"' in text] == []


def test_rows_to_fit_on_are_graded_as_bfcl_is_and_were_never_learnt(made: Any) -> None:
    learnt = {row["prompt"] for row in made.tool_calls.tool_call_rows(50, random.Random(1))}
    rows = list(made.made_calls.graded_rows(300, random.Random(1), frozenset(list(learnt)[:20])))
    assert 200 < len(rows) < 300
    assert not {row["prompt"] for row in rows} & set(list(learnt)[:20])
    for row in rows:
        ((name, values),) = json.loads(row["answer"])["calls"][0].items()
        right = {key: value for key, (value,) in values.items()}
        assert by_calls(json.dumps([{"name": name, "arguments": right}]), row["answer"]) == 1
        assert by_calls(json.dumps([{"name": name, "arguments": {}}]), row["answer"]) == float(not right)


def test_equations_are_right(made: Any) -> None:
    problems = list(made.word_problems.word_problem_rows(500, random.Random(0)))
    sums = list(made.word_problems.sum_rows(500, random.Random(0)))
    for row in [*problems, *sums]:
        for equation in row["answer"].split(", "):
            left, _, right = equation.partition(" = ")
            assert eval(left) == int(right), row


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        ("He has 48/2=<<48/2=24>>24. So 48+24=<<48+24=72>>72.\n#### 72", "48 / 2 = 24, 48 + 24 = 72"),
        ("It is <<3*4=12>>12 dollars.\n#### 12", "3 * 4 = 12"),
        ("It is twelve.\n#### 12", None),
        ("<<3*4=12>>12 and then some.\n#### 13", None),
        ("<<x*4=12>>12\n#### 12", None),
        ("<<1+1=2>><<1+1=2>><<1+1=2>><<1+1=2>><<1+1=2>>\n#### 2", None),
    ],
)
def test_a_worked_solution_becomes_equations(made: Any, solution: str, answer: str | None) -> None:
    assert made.word_problems.equations_of(solution) == answer


def test_rows_are_of_fit_splits_alone(made: Any, tmp_path: Path) -> None:
    (tmp_path / "trec_train.txt").write_text("DESC:what is a rat ?\nHUM:who is it ?\n", encoding="latin-1")
    (tmp_path / "trec_test.txt").write_text("NUM:dist How far is it ?\n", encoding="latin-1")
    rows = list(made.rows.SPECIALISTS["trec"](tmp_path, random.Random(0)))
    assert [row["answer"] for row in rows] == ["description", "person"]
    assert "what is a rat?" in rows[0]["prompt"]
    sets = {
        "train": [["is it hot", "weather"]],
        "val": [["is it late", "time"]],
        "test": [["stop", "cancel"]],
    }
    scope = {
        "oos_train": [["why me", "oos"]],
        "oos_val": [["why now", "oos"]],
        "oos_test": [["why not", "oos"]],
    }
    (tmp_path / "clinc150_data_full.json").write_text(json.dumps({**sets, **scope}))
    found = [row["answer"] for row in made.rows.SPECIALISTS["intents"](tmp_path, random.Random(0))]
    repeated = ["out of scope"] * 2 * made.rows.SCOPE_REPEATS
    assert found == ["weather", "time", *repeated]


def test_the_page_of_the_matrix_has_every_suite_and_the_stream(made: Any) -> None:
    scores = {"accuracy": 0.9712, "accuracy_low": 0.9561, "accuracy_high": 0.985}
    suites = {"trec": {"rows": 500, "out_of_scope": 20, "models": {"trec": scores}}}
    stream = {
        "rows": 520,
        **{f"{name}{end}": 0.5 for name in ("accuracy", "oracle") for end in ("", "_low", "_high")},
        "gap": -0.0184,
        "gap_low": -0.03,
        "gap_high": -0.01,
        "to_best": 0.951,
        "shares": {"trec": 0.75, "base": 0.25},
    }
    matrix = {"models": ["trec", "base"], "suites": suites, "rows": 520, "draws": 1000, "stream": stream}
    text = made.matrix_page.page(matrix)
    assert "| trec | 520 | 0.971 (0.956 to 0.985) |  |" in text
    assert "a difference of -1.8 points (95 %: -3.0, -1.0)" in text
    assert "it answered 95.1%. Answered by: trec 75.0%, base 25.0%." in text


def test_a_card_has_the_figures_of_the_matrix_and_of_the_training(made: Any) -> None:
    cards = made.cards
    scores = {"accuracy": 0.9712, "accuracy_low": 0.9561, "accuracy_high": 0.985, "rows": 500}
    suites = {"trec": {"models": {"trec": scores, cards.BASE: {**scores, "accuracy": 0.1}}}}
    settings = {"rank": 8, "epochs": 1, "batch": 16, "learning_rate": 1e-3, "seed": 7}
    held = [{"held_right": 0.5}, {"held_right": 0.9183}]
    training = {"settings": settings, "rows": 4658, "held": 245, "evaluations": held}
    example = Example(
        id="trec-test-0",
        task="trec",
        prompt="Who?",
        expected="person",
        rule="label",
        choices=(),
        max_tokens=8,
        split="held",
        question="Who?",
    )
    text = cards.card("trec", training, {"suites": suites}, example)
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front)["library_name"] == "peft"
    assert "| trec (500 rows) | accuracy | 0.971 (0.956 to 0.985) | 0.100 (0.956 to 0.985) |  |" in body
    assert "4,658 rows, and 245 held back, of which 91.8%" in body
    assert "seed 7" in body
    assert "```text\nWho?\n```\n\nThe answer: `person`" in body
    of_two = {"mean_of": [training, {**training, "rows": 4657}], "energy_lost": 0.004}
    text = cards.card("trec", of_two, {"suites": suites}, example)
    assert "4,658 rows, and 245 held back, of which 91.8%" in text
    assert "4,657 rows, and 245 held back, of which 91.8%" in text
    assert "`make specialist-trec`. The mean of 2 trainings: LoRA of rank 8" in text
    later = {**training, "rows": 99, "settings": {**settings, "learning_rate": 5e-4}, "begin": of_two}
    text = cards.card("trec", later, {"suites": suites}, example)
    assert "The mean of 2 trainings, and one that goes on from it: LoRA" in text
    assert "learning rate 0.001, then 0.0005" in text
    assert text.index("4,657 rows") < text.index("99 rows, and 245 held back")
    assert made.cards.WORDS.keys() == made.rows.SPECIALISTS.keys()
