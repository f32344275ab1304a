"""Suites: hand-made files in the published forms become prompts, gold answers, stable ids and splits."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.errors import TableError
from pinnace.eval.example import half_of, sample
from pinnace.eval.open_questions import can_stand_alone
from pinnace.eval.scoring import score
from pinnace.eval.suites import read_suite, suite_names

TASKS = Path(__file__).parents[2] / "shared" / "data" / "tasks"

SUM = {"question": "Ann has 3 pens and buys 4. How many has she?", "answer": "3 + 4 = <<3+4=7>>7\n#### 1,007"}


def arc(question, choices, key, labels="ABCD"):
    return {
        "question": question,
        "choices": {"text": choices, "label": list(labels[: len(choices)])},
        "answerKey": key,
    }


def instruction(question, choices, gold):
    options = " ".join(f"Answer{i}: {choice}" for i, choice in enumerate(choices, start=1))
    names = "/".join(f"answer{i}" for i in range(1, len(choices) + 1))
    asked = (
        f"Please choose the correct answer to the question: {question}\n\n{options}\n\nAnswer format: {names}"
    )
    return {"instruction": asked, "answer": gold}


def lines(*rows):
    return "\n".join(json.dumps(row) for row in rows) + "\n"


ICE = arc("What does ice turn into when it is heated?", ["water", "steel", "sand", "glass"], "1", "1234")
WHICH = arc("Which of these floats on water?", ["a stone", "a cork"], "B")
MMLU = {
    "instruction": "The following is a multiple choice question about Ships. "
    "Please select the correct answer.\n\n"
    "Question: What is left?\n\nOptions:\nA. starboard\nB. port\nC. bow\nD. stern\n\n"
    "Please choose the correct answer from A, B, C, or D.",
    "response": "B. port",
}
BOOLQ = {
    "instruction": "Please answer the following question with true or false, question: is a boat a ship?\n\n"
    "Answer format: true/false",
    "answer": "false",
}

FILES = {
    "gsm8k_train.jsonl": lines(SUM, SUM),
    "gsm8k_test.jsonl": lines({"question": "What is 2 and 2?", "answer": "#### 4"}),
    "svamp_test.json": json.dumps(
        [{"instruction": "Bo had 5 figs and ate 2. How many now?", "answer": "3.0"}]
    ),
    "arc_challenge_arc_train.json": lines(ICE, WHICH),
    "arc_challenge_arc_val.json": "",
    "arc_challenge_arc_test.json": lines(ICE),
    "arc-easy_test.json": json.dumps(
        [instruction("What pulls a ball down?", ["wind", "gravity"], "answer2")]
    ),
    "openbookqa_test.json": json.dumps([instruction("A boat needs", ["a road", "a lake"], "answer2")]),
    "mmlu_train4000.jsonl": lines(MMLU),
    "boolq_test.json": json.dumps([BOOLQ]),
    "trec_train.txt": "HUM:who said `` ahoy there '' , and who 's he ?\r\nNUM:when was it ?\r\n",
    "trec_test.txt": "NUM:dist How far is Oslo ?\n",
    "clinc150_data_full.json": json.dumps(
        {"oos_train": [["tell me a tale", "oos"]], "oos_val": [], "oos_test": [["sing to me", "oos"]]}
    ),
    "mt_bench_question.jsonl": lines({"question_id": 1, "turns": ["Write a haiku.", "Now another."]}),
}


@pytest.fixture
def folder(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_text(content, encoding="latin-1", newline="")
    return tmp_path


def the(name, folder, at=0):
    return read_suite(name, folder)[at]


def test_word_problems_are_asked_as_they_are(folder):
    pens = the("gsm8k", folder)
    assert pens.prompt == pens.question == SUM["question"]
    assert (pens.expected, pens.rule, pens.max_tokens, pens.split) == ("1,007", "number", 256, "fit")
    assert score(pens.rule, "She has 1007.", pens.expected) == 1.0
    assert the("svamp", folder).expected == "3.0"


def test_ids_are_hashes_of_the_prompt_and_duplicates_are_dropped(folder):
    examples = read_suite("gsm8k", folder)
    assert [example.id for example in examples] == ["gsm8k-train-1f1e7d5d8c36", "gsm8k-test-9c73adce26b8"]


def test_choices_are_lettered_whatever_their_labels_were(folder):
    ice = the("arc_challenge", folder)
    assert ice.prompt == (
        "What does ice turn into when it is heated?\nA. water\nB. steel\nC. sand\nD. glass\n"
        "Answer with the letter of the right option."
    )
    assert ice.expected == "A"
    assert the("arc_challenge", folder, 1).expected == "B"
    assert the("arc_easy", folder).choices == ("wind", "gravity")
    assert the("openbookqa", folder).expected == "B"
    port = the("mmlu", folder)
    assert (port.question, port.choices[1], port.expected) == ("What is left?", "port", "B")


def test_open_questions_are_those_that_stand_without_options(folder):
    asked = read_suite("arc_open", folder)
    assert [(e.prompt, e.expected) for e in asked] == [
        ("What pulls a ball down?", "gravity"),
        ("What does ice turn into when it is heated?", "water"),
    ]
    assert all(e.rule == "contains" and e.choices == () for e in asked)


@pytest.mark.parametrize(
    ("stem", "gold"),
    [
        ("A boat needs", "water"),
        ("Which of the boats floats?", "the cork one"),
        ("Which is heavier?", "lead"),
        ("Which statement is true?", "boats float"),
        ("What is shown below?", "a boat"),
        ("What do boats need?", "a very large lake"),
        ("What do boats need?", "all of them"),
        ("What floats, a cork or a stone?", "a cork"),
        ("What floats?", ""),
    ],
)
def test_questions_that_lean_on_their_options_are_not_asked_openly(stem, gold):
    assert not can_stand_alone(stem, gold)


def test_yes_or_no_and_labels_say_what_is_wanted(folder):
    boat = the("boolq", folder)
    assert boat.prompt == "Is a boat a ship? Answer yes or no."
    assert score(boat.rule, "No.", boat.expected) == 1.0
    who = the("trec", folder)
    assert who.question == 'who said "ahoy there", and who\'s he?'
    assert all(kind in who.prompt for kind in who.choices)
    assert (who.expected, who.split) == ("person", "fit")
    far = the("trec", folder, 2)
    assert (far.question, far.expected, far.split) == ("How far is Oslo?", "number", "held")


def test_chat_has_no_gold_answer(folder):
    assert [(e.prompt, e.rule, e.split) for e in read_suite("clinc_oos", folder)] == [
        ("tell me a tale", "none", "fit"),
        ("sing to me", "none", "held"),
    ]
    assert the("mt_bench", folder).prompt == "Write a haiku."


def test_sums_are_right_and_the_same_every_time(folder):
    examples = read_suite("arithmetic", folder)
    assert examples == read_suite("arithmetic", folder)
    for example in examples:
        left, sign, right = re.fullmatch(r"What is (\d+) ([-+*]) (\d+)\?", example.prompt).groups()
        gold = {"+": int(left) + int(right), "-": int(left) - int(right), "*": int(left) * int(right)}[sign]
        assert example.expected == str(gold)
        assert gold >= 0
    assert {example.split for example in examples} == {"fit", "held"}


@pytest.mark.parametrize(
    ("suite", "file", "content", "message"),
    [
        ("gsm8k", "gsm8k_train.jsonl", "{}\n", "row 1: question: expected text, got None"),
        ("gsm8k", "gsm8k_train.jsonl", lines(SUM) + "oh\n", "row 2: expected JSON, got 'oh'"),
        ("gsm8k", "gsm8k_train.jsonl", "[]\n", "row 1: expected a JSON object, got []"),
        (
            "gsm8k",
            "gsm8k_train.jsonl",
            '{"question": "Q", "answer": "7"}\n',
            "row 1: answer: expected text that matches '.*####",
        ),
        ("svamp", "svamp_test.json", "{}", "expected a JSON list, got dict"),
        ("svamp", "svamp_test.json", "[", "the file: expected JSON"),
        (
            "arc_challenge",
            "arc_challenge_arc_val.json",
            lines(arc("Q?", ["x"], "C")),
            "row 1: answerKey: expected one of the 1 options, got 'C'",
        ),
        (
            "arc_challenge",
            "arc_challenge_arc_val.json",
            '{"question": "Q?", "choices": {"text": [1]}, "answerKey": "A"}',
            "choices.text: expected a list of texts, got [1]",
        ),
        (
            "arc_easy",
            "arc-easy_test.json",
            '[{"instruction": "?"}]',
            "row 1: instruction: expected text that matches 'Please choose",
        ),
        (
            "arc_easy",
            "arc-easy_test.json",
            json.dumps([instruction("Q?", ["x"], "x")]),
            "row 1: answer: expected",
        ),
        (
            "mmlu",
            "mmlu_train4000.jsonl",
            lines(MMLU | {"response": "port"}),
            "row 1: response: expected text that matches '^([A-D])'",
        ),
        (
            "boolq",
            "boolq_test.json",
            json.dumps([BOOLQ | {"answer": "yes"}]),
            "row 1: answer: expected one of ['true', 'false']",
        ),
        ("trec", "trec_train.txt", "WHO:are you ?\n", "row 1: line: expected one of ['ABBR', "),
        ("trec", "trec_test.txt", "HUM:ind\n", "row 1: line: expected text that matches '^[A-Z]+:"),
        ("clinc_oos", "clinc150_data_full.json", "{}", "oos_train: expected a list of [text, label] pairs"),
        (
            "clinc_oos",
            "clinc150_data_full.json",
            '{"oos_train": [["a"]]}',
            "oos_train: row 1: expected [text, label]",
        ),
        (
            "mt_bench",
            "mt_bench_question.jsonl",
            '{"turns": []}',
            "row 1: turns.0: expected text, got None",
        ),
    ],
)
def test_a_malformed_row_names_the_file_and_the_row(folder, suite, file, content, message):
    (folder / file).write_text(content, encoding="utf-8")
    with pytest.raises(TableError) as caught:
        read_suite(suite, folder)
    assert message in str(caught.value)
    assert file in str(caught.value)


def test_what_is_not_there_is_named(folder, tmp_path):
    (folder / "boolq_test.json").unlink()
    with pytest.raises(TableError, match=r"boolq_test\.json: task file not readable: No such file"):
        read_suite("boolq", folder)
    with pytest.raises(TableError, match="expected a folder of task files"):
        read_suite("boolq", tmp_path / "none")
    with pytest.raises(TableError, match=r"no suite 'golf'; there are: arc_challenge, .*, trec, or a \.yaml"):
        read_suite("golf", folder)
    (folder / "svamp_test.json").write_bytes(b'["\xff"]')
    with pytest.raises(TableError, match="expected utf-8 text"):
        read_suite("svamp", folder)


def test_a_draw_is_the_beginning_of_a_larger_one_and_takes_the_preferred_first(folder):
    examples = read_suite("arithmetic", folder)
    drawn = sample(examples, 20, seed=3)
    assert drawn == sample(examples[::-1], 30, seed=3)[:20]
    assert drawn != sample(examples, 20, seed=4)
    preferred = {example.id for example in examples[-5:]}
    assert {example.id for example in sample(examples, 5, seed=3, prefer=preferred)} == preferred
    assert len(sample(examples, 10**6)) == len(examples)


@given(st.text())
def test_all_forms_of_a_question_fall_into_the_same_half(text):
    assert half_of(text) == half_of(f"  {text} ?!\n")


@pytest.mark.skipif(not TASKS.is_dir(), reason="the development data is not beside this checkout")
@pytest.mark.parametrize("name", suite_names())
def test_the_published_files_read(name):
    examples = read_suite(name, TASKS)
    assert len({example.id for example in examples}) == len(examples) >= 80
    told = [e for e in examples if e.rule not in ("none", "calls", "code")][:1000]
    assert {score(e.rule, e.expected, e.expected, e.choices) for e in told} <= {1.0}
    splits = {"fit"} if name == "basic_facts" else {"held"} if name.startswith("bfcl") else {"fit", "held"}
    assert {example.split for example in examples} == splits
