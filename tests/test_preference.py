"""Preference training, and the pairs that it takes from what a model writes."""

import importlib
import json
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import pytest
from test_training import COLOURS, ROWS, SETTINGS, taught
from tiny_llama import make_tiny_llama

from pinnace.config import ScriptedMember
from pinnace.errors import TrainingError, TrainingRowsError
from pinnace.models.completion import Delta
from pinnace.models.scripted import ScriptedBackend
from pinnace.models.tokens import ChatTokenizer
from pinnace.models.training.label_logits import label_logits
from pinnace.models.training.preference import PreferenceLesson, TokenPair, train_preferences
from pinnace.models.training.preference_pairs import (
    PreferencePair,
    ScoredSample,
    answer_text,
    preference_pairs,
    sample_answers,
)
from pinnace.models.training.report import TrainingReport
from pinnace.models.training.row_tokens import token_row
from pinnace.models.training.rows import TrainingRow
from pinnace.models.training.trainee import load_trainee
from pinnace.models.training.workshop import Base

pytest.importorskip("peft")
torch: Any = importlib.import_module("torch")
PAIRS = [PreferencePair(row, "pink") for row in ROWS.kept]
GENTLE = replace(SETTINGS, learning_rate=2e-3, epochs=2)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return make_tiny_llama(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def before(base: Base, tmp_path_factory: pytest.TempPathFactory) -> TrainingReport:
    return taught(base, tmp_path_factory.mktemp("before") / "colours", replace(SETTINGS, epochs=2))


def preferred(base: Base, adapter: Path, out: Path, **options: Any) -> TrainingReport:
    given = {"pairs": PAIRS, "settings": GENTLE, "device": "cpu", "dtype": "float32", "threads": 1, **options}
    return train_preferences(given.pop("pairs"), base, adapter, out, given.pop("settings"), **given)


def lesson_of(base: Base, adapter: Path) -> tuple[Any, PreferenceLesson]:
    trainee = load_trainee(base.folder, adapter, device=torch.device("cpu"), dtype="float32")
    tokenizer = ChatTokenizer(base.folder)
    wrong = [replace(each.row, answer=each.rejected) for each in PAIRS[:6]]
    sides = ([token_row(row, tokenizer, None) for row in rows] for rows in (ROWS.kept[:6], wrong))
    pairs = [TokenPair(*both) for both in zip(*sides, strict=True)]
    return trainee, PreferenceLesson(pairs, trainee, label_logits, 0.1, 256)


def test_right_answers_gain_on_wrong_ones(base: Base, before: TrainingReport, tmp_path: Path) -> None:
    report = preferred(base, before.folder, tmp_path / "out")
    assert report.evaluations[-1].held_loss is not None
    assert report.evaluations[-1].held_loss < log(2)
    assert report.evaluations[-1].held_right == 1.0
    assert (report.rows, report.held) == (43, 5)
    assert json.loads((tmp_path / "out" / "adapter_config.json").read_text())["r"] == 8


def test_the_loss_begins_where_nothing_is_preferred_yet(base: Base, before: TrainingReport) -> None:
    trainee, lesson = lesson_of(base, before.folder)
    trainee.peft.eval()
    with torch.no_grad():
        found = lesson.losses(trainee.language, [0, 1, 2])
    assert float(found.loss) == pytest.approx(3 * log(2), abs=1e-4)


def test_the_loss_is_that_of_the_paper(base: Base, before: TrainingReport) -> None:
    trainee, lesson = lesson_of(base, before.folder)
    tokenizer = ChatTokenizer(base.folder)
    trainee.peft.eval()

    def log_probability(row: TrainingRow) -> float:
        made = token_row(row, tokenizer, None)
        ids = torch.tensor([[*made.prompt, *made.answer]])
        with torch.no_grad():
            told = trainee.peft(ids).logits[0].log_softmax(-1)
        places = range(len(made.prompt) - 1, len(made) - 1)
        return sum(float(told[at, ids[0, at + 1]]) for at in places)

    pair = PAIRS[2]
    both = [pair.row, replace(pair.row, answer=pair.rejected)]
    reference = [log_probability(row) for row in both]
    with torch.no_grad():
        for name, weight in trainee.weights().items():
            if "lora_B" in name:
                weight.add_(0.02)
    chosen, rejected = (log_probability(row) - was for row, was in zip(both, reference, strict=True))
    with torch.no_grad():
        found = lesson.losses(trainee.language, [2])
    margin = torch.tensor(0.1 * (chosen - rejected))
    assert abs(chosen - rejected) > 0.01
    assert float(found.loss) == pytest.approx(float(-torch.nn.functional.logsigmoid(margin)), abs=1e-4)
    assert found.right == int(chosen > rejected)


def test_a_killed_preference_training_goes_on_to_the_same(
    base: Base, before: TrainingReport, tmp_path: Path
) -> None:
    whole = preferred(base, before.folder, tmp_path / "whole")

    def kill(step: Any) -> None:
        if step.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        preferred(base, before.folder, tmp_path / "killed", checkpoint_s=0, on_step=kill)
    resumed = preferred(base, before.folder, tmp_path / "killed")
    assert resumed.evaluations == whole.evaluations
    name = "adapter_model.safetensors"
    assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_what_is_no_adapter_or_no_pairs_is_refused(
    base: Base, before: TrainingReport, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="expected an adapter with adapter_config"):
        preferred(base, tmp_path, tmp_path / "out")
    with pytest.raises(TrainingRowsError, match="expected rows of prompt and answer, got none"):
        preferred(base, before.folder, tmp_path / "out", pairs=[])
    long = PreferencePair(ROWS.kept[0], "b" * 60)
    with pytest.raises(TrainingRowsError, match="got 6 of 54:\n  row 49: huge: expected at most 64 tokens"):
        preferred(base, before.folder, tmp_path / "out", pairs=[*PAIRS, *[long] * 6])


def test_pairs_are_the_wrong_answers_that_are_written_most() -> None:
    row, other = TrainingRow("sky", "blue"), TrainingRow("snow", "white")
    told = [
        ("red", 0.0),
        ("blue", 1.0),
        ("green", 0.0),
        ("green", 0.0),
        ("pink", 0.0),
        (" blue ", 0.0),
        ("", 0.0),
    ]
    samples = [ScoredSample(row, answer, score) for answer, score in told]
    samples.append(ScoredSample(other, "white", 1.0))
    assert preference_pairs(samples) == (PreferencePair(row, "green"), PreferencePair(row, "red"))
    assert len(preference_pairs(samples, most_per_row=5)) == 3


async def test_a_backend_is_sampled_and_scored() -> None:
    script = [{"when": thing, "answer": colour} for thing, colour in list(COLOURS.items())[:3]]
    member = ScriptedMember.model_validate(
        {"name": "s", "backend": "scripted", "script": [*script, {"answer": "pink"}]}
    )
    backend = ScriptedBackend(member)
    await backend.start()
    samples = await sample_answers(ROWS.kept[:8], backend, lambda row, text: float(text == row.answer), n=2)
    await backend.drain()
    assert [sample.score for sample in samples] == [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0] * 2
    pairs = preference_pairs(samples)
    assert [(pair.row.prompt, pair.rejected) for pair in pairs] == [("0 coal", "pink"), ("1 coal", "pink")]


def test_a_call_is_written_as_the_model_wrote_it() -> None:
    pieces = [
        Delta(tool_calls=[{"index": 0, "id": "c", "function": {"name": "add", "arguments": ""}}]),
        Delta(tool_calls=[{"index": 0, "function": {"arguments": '{"a": '}}], index=0),
        Delta(text="other", index=1),
        Delta(tool_calls=[{"index": 0, "function": {"arguments": "1}"}}], index=0),
    ]
    assert answer_text(pieces) == '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
    assert answer_text(pieces, 1) == "other"
