"""A training: it learns, it can be killed, and what it writes is what peft loads."""

import importlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_llama import make_tiny_llama

from pinnace.errors import TrainingError, TrainingRowsError
from pinnace.models.completion import Message
from pinnace.models.tokens import ChatTokenizer
from pinnace.models.training.label_logits import full_logits, is_plain, label_logits, token_losses
from pinnace.models.training.lesson import AnswerLesson
from pinnace.models.training.report import StepTaken, TrainingReport
from pinnace.models.training.row_tokens import TokenRow, piece_of, prompt_ids, token_row
from pinnace.models.training.rows import TrainingRow, checked_rows
from pinnace.models.training.settings import TrainingSettings, rate_at
from pinnace.models.training.train import held_back, train
from pinnace.models.training.trainee import Trainee, device_named, load_trainee, make_trainee
from pinnace.models.training.workshop import Base

pytest.importorskip("peft")
torch: Any = importlib.import_module("torch")

COLOURS = {"sky": "blue", "grass": "green", "snow": "white", "coal": "black"}
ROWS = checked_rows(
    [{"prompt": f"{i} {thing}", "answer": colour} for i in range(12) for thing, colour in COLOURS.items()]
)
SETTINGS = TrainingSettings(
    epochs=3, batch=8, learning_rate=0.02, held_back=0.1, max_tokens=64, piece_tokens=256
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return make_tiny_llama(tmp_path_factory.mktemp("base"))


def taught(base: Base, out: Path, settings: TrainingSettings = SETTINGS, **options: Any) -> TrainingReport:
    given = {"rows": ROWS, "device": "cpu", "dtype": "float32", "threads": 1, **options}
    return train(given.pop("rows"), base, out, settings, **given)


@pytest.fixture(scope="module")
def trained(base: Base, tmp_path_factory: pytest.TempPathFactory) -> TrainingReport:
    return taught(base, tmp_path_factory.mktemp("trained") / "colours", replace(SETTINGS, epochs=10))


def trainee_of(base: Base) -> Trainee:
    made = make_trainee(base.folder, SETTINGS, device=torch.device("cpu"), dtype="float32")
    with torch.no_grad():
        for name, weight in made.weights().items():
            if "lora_B" in name:  # where it is 0, as it begins, half of all gradients are
                weight.normal_(0, 0.1)
    return made


def some_rows(base: Base) -> list[TokenRow]:
    tokenizer = ChatTokenizer(base.folder)
    return [token_row(row, tokenizer, "Name a colour.") for row in ROWS.kept[:7]]


def test_the_loss_falls_and_the_report_says_what_was_done(trained: TrainingReport) -> None:
    first, *_, last = trained.evaluations
    assert last.train_loss < first.train_loss / 2
    assert last.held_loss is not None
    assert first.held_loss is not None
    assert last.held_loss < first.held_loss
    best = min(trained.evaluations, key=lambda each: each.held_loss or 0.0)
    assert trained.best_step == best.step
    assert (trained.rows, trained.held, trained.refused) == (43, 5, ())
    assert last.held_right == 1.0
    assert (trained.steps, last.step, last.epoch) == (60, 60, 10.0)
    assert trained.seconds > 0


def test_tokens_are_those_of_every_row_in_every_epoch(base: Base, tmp_path: Path) -> None:
    report = taught(base, tmp_path / "out", replace(SETTINGS, held_back=0.0, epochs=2))
    tokenizer = ChatTokenizer(base.folder)
    assert report.tokens == 2 * sum(len(token_row(row, tokenizer, None)) for row in ROWS.kept)


def test_greedy_text_is_what_was_taught(base: Base, trained: TrainingReport) -> None:
    transformers: Any = importlib.import_module("transformers")
    peft: Any = importlib.import_module("peft")
    language = transformers.AutoModelForCausalLM.from_pretrained(str(base.folder), dtype=torch.float32)
    tokenizer = ChatTokenizer(base.folder)
    prompt = torch.tensor([prompt_ids(TrainingRow("3 grass", "-"), tokenizer, None)])
    with torch.no_grad():
        before = language(prompt).logits[0, -1]
        specialist = peft.PeftModel.from_pretrained(language, str(trained.folder)).eval()
        assert not torch.allclose(specialist(prompt).logits[0, -1], before, atol=0.1)
        for _ in range(8):
            following = specialist(prompt).logits[0, -1].argmax().reshape(1, 1)
            if tokenizer.is_end(int(following)):
                break
            prompt = torch.cat([prompt, following], dim=1)
    assert tokenizer.text(prompt[0].tolist()).endswith("assistant\ngreen")


def test_a_training_goes_on_from_an_adapter(base: Base, trained: TrainingReport, tmp_path: Path) -> None:
    afresh = taught(base, tmp_path / "afresh")
    further = taught(base, tmp_path / "further", begin=trained.folder)
    assert further.of != afresh.of
    assert further.evaluations[0].train_loss < 0.5 * afresh.evaluations[0].train_loss
    told = json.loads((further.folder / "training.json").read_text())
    assert told["begin"] == json.loads((trained.folder / "training.json").read_text())
    assert "begin" not in json.loads((afresh.folder / "training.json").read_text())
    again = taught(base, tmp_path / "further", begin=trained.folder)
    assert (again.is_new, again.of, again.begin) == (False, further.of, told["begin"])


def test_it_goes_on_from_adapters_of_its_own_kind_alone(
    base: Base, trained: TrainingReport, tmp_path: Path
) -> None:
    wider = replace(SETTINGS, rank=4)
    with pytest.raises(TrainingError, match=r"expected rank, alpha and targets \(4, 16, .*got \(8, 16"):
        taught(base, tmp_path / "out", wider, begin=trained.folder)
    with pytest.raises(TrainingError, match="expected an adapter with"):
        taught(base, tmp_path / "out", begin=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_the_layout_of_peft_and_says_where_it_is_from(trained: TrainingReport) -> None:
    assert {path.name for path in trained.folder.iterdir()} == {
        *("adapter_config.json", "adapter_model.safetensors", "training.json")
    }
    config = json.loads((trained.folder / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["base_model_name_or_path"]) == (8, 16, "tiny")
    assert config["target_modules"] == sorted(SETTINGS.targets)
    files: Any = importlib.import_module("safetensors.torch")
    weights = files.load_file(str(trained.folder / "adapter_model.safetensors"))
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}
    assert "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight" in weights
    assert len(weights) == 2 * 2 * len(SETTINGS.targets)
    told = json.loads((trained.folder / "training.json").read_text())
    assert (told["rows"], told["settings"]["seed"], told["base"]) == (43, 0, "tiny")
    assert not list(trained.folder.parent.glob(".*"))


def test_label_logits_are_those_of_the_whole_computation(base: Base) -> None:
    trainee = trainee_of(base)
    piece = piece_of(some_rows(base), trainee.device)
    assert len(piece.shared) > 20
    assert is_plain(trainee.language, piece)
    gradients = []
    for logits_of in (label_logits, full_logits):
        logits = logits_of(trainee.language, piece)
        token_losses(logits, piece.label).sum().backward()
        gradients.append([weight.grad.clone() for weight in trainee.weights().values()])
        trainee.peft.zero_grad()
    assert torch.allclose(
        label_logits(trainee.language, piece), full_logits(trainee.language, piece), atol=1e-4
    )
    for ours, theirs in zip(*gradients, strict=True):
        assert theirs.abs().max() > 0
        assert torch.allclose(ours, theirs, atol=1e-3)


def test_what_is_learnt_is_the_answer_and_its_end_alone(base: Base) -> None:
    rows = some_rows(base)
    piece = piece_of(rows, torch.device("cpu"))
    assert piece.label.tolist() == [token for row in rows for token in row.answer]
    assert {row.answer[-1] for row in rows} == {ChatTokenizer(base.folder).end}
    alone = [piece_of([row], torch.device("cpu")) for row in rows]
    trainee = trainee_of(base)
    with torch.no_grad():
        together = token_losses(label_logits(trainee.language, piece), piece.label)
        single = [token_losses(label_logits(trainee.language, one), one.label) for one in alone]
    assert torch.allclose(together, torch.cat(single), atol=1e-4)


def test_a_head_that_does_more_than_its_product_is_found_out(base: Base) -> None:
    trainee = trainee_of(base)
    piece = piece_of(some_rows(base), trainee.device)
    own = trainee.language.forward

    def scaled(*args: Any, **options: Any) -> Any:
        output = own(*args, **options)
        output.logits = output.logits * 3
        return output

    trainee.language.forward = scaled
    assert not is_plain(trainee.language, piece)


def test_an_item_is_right_where_greedy_decoding_would_be(base: Base, trained: TrainingReport) -> None:
    trainee = load_trainee(base.folder, trained.folder, device=torch.device("cpu"), dtype="float32")
    tokenizer = ChatTokenizer(base.folder)
    right = [TrainingRow("3 grass", "green"), TrainingRow("4 snow", "white")]
    rows = [token_row(row, tokenizer, None) for row in [*right, TrainingRow("3 grass", "greed")]]
    found = AnswerLesson(rows, trainee.device, label_logits).losses(trainee.language, [0, 1, 2])
    assert found.right == 2


def test_the_prompt_is_rendered_as_the_serving_side_renders_it(base: Base) -> None:
    tokenizer = ChatTokenizer(base.folder)
    row = TrainingRow("hi", "-")
    assert prompt_ids(row, tokenizer, "Be kind.") == tuple(
        tokenizer.render_now([Message("user", "hi")], "Be kind.")
    )
    own = replace(row, system="Be brief.")
    turns = [Message("system", "Be brief."), Message("user", "hi")]
    assert prompt_ids(own, tokenizer, "Be kind.") == tuple(tokenizer.render_now(turns))
    tool = {"type": "function", "function": {"name": "add_two", "parameters": {}}}
    told = tokenizer.text(prompt_ids(replace(row, tools=(tool,), tool_choice="required"), tokenizer, None))
    assert "<tools>" in told
    assert '"name": "add_two"' in told
    assert "Call a function now." in told


class KilledError(Exception):
    """Somebody killed the process."""


def killer(at: int) -> Callable[[StepTaken], None]:
    def kill(step: StepTaken) -> None:
        if step.step == at:
            raise KilledError

    return kill


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_killed_training_goes_on_to_the_same_adapter(base: Base, tmp_path: Path, dropout: float) -> None:
    settings = replace(SETTINGS, dropout=dropout)
    whole = taught(base, tmp_path / "whole", settings)
    for step in (4, 13):
        with pytest.raises(KilledError):
            taught(base, tmp_path / "killed", settings, checkpoint_s=0, on_step=killer(step))
        assert not (tmp_path / "killed").exists()
    seen: list[int] = []
    resumed = taught(base, tmp_path / "killed", settings, on_step=lambda step: seen.append(step.step))
    assert seen == list(range(14, 19))
    assert resumed.evaluations == whole.evaluations
    assert resumed.best_step == whole.best_step
    names = ("adapter_model.safetensors", "adapter_config.json")
    for name in names:
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "whole"]


def test_another_seed_gives_another_adapter(base: Base, trained: TrainingReport, tmp_path: Path) -> None:
    taught(base, tmp_path / "other", replace(SETTINGS, seed=1))
    name = "adapter_model.safetensors"
    assert (tmp_path / "other" / name).read_bytes() != (trained.folder / name).read_bytes()


def test_a_finished_training_is_not_run_again(base: Base, trained: TrainingReport) -> None:
    again = taught(base, trained.folder, replace(SETTINGS, epochs=10), on_step=killer(1))
    assert not again.is_new
    assert replace(again, is_new=True, settings={}) == replace(trained, settings={})


def test_a_new_training_replaces_the_adapter_and_keeps_its_card(
    base: Base, trained: TrainingReport, tmp_path: Path
) -> None:
    folder = tmp_path / "colours"
    shutil.copytree(trained.folder, folder)
    (folder / "README.md").write_text("The card.")
    assert taught(base, folder, replace(SETTINGS, epochs=1)).is_new
    assert (folder / "README.md").read_text() == "The card."
    assert json.loads((folder / "training.json").read_text())["settings"]["epochs"] == 1


def test_an_unfinished_training_with_other_settings_is_not_gone_on_with(base: Base, tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        taught(base, tmp_path / "out", checkpoint_s=0, on_step=killer(2))
    with pytest.raises(
        TrainingError, match="an unfinished training with other rows, settings or another base"
    ):
        taught(base, tmp_path / "out", replace(SETTINGS, rank=4))


def test_a_damaged_checkpoint_is_named(base: Base, tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        taught(base, tmp_path / "out", checkpoint_s=0, on_step=killer(2))
    checkpoint = tmp_path / ".out.training" / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1000])
    with pytest.raises(TrainingError, match="a damaged checkpoint; delete it to begin anew"):
        taught(base, tmp_path / "out")


def test_one_process_at_a_time_trains_into_a_folder(base: Base, tmp_path: Path) -> None:
    def also(step: StepTaken) -> None:
        with pytest.raises(TrainingError, match="another process is training it"):
            taught(base, tmp_path / "out")
        raise KilledError

    with pytest.raises(KilledError):
        taught(base, tmp_path / "out", on_step=also)
    assert not list(tmp_path.iterdir())  # no checkpoint was due, so nothing is left


def test_training_ends_where_held_back_rows_gain_no_more(base: Base, tmp_path: Path) -> None:
    shuffled = checked_rows(
        [{"prompt": f"{i} thing", "answer": ["blue", "green", "white"][i * i % 7 % 3]} for i in range(60)]
    )
    settings = replace(SETTINGS, epochs=40, patience=2, held_back=0.3)
    report = taught(base, tmp_path / "out", settings, rows=shuffled)
    assert report.steps < 40 * 6
    worse = [each for each in report.evaluations if each.step > report.best_step]
    assert len(worse) == 2


def test_bf16_learns_as_well(base: Base, tmp_path: Path) -> None:
    report = taught(base, tmp_path / "out", replace(SETTINGS, epochs=4), dtype="bfloat16")
    assert report.evaluations[-1].train_loss < report.evaluations[0].train_loss / 2


def test_without_rows_held_back_the_last_step_is_the_best(base: Base, tmp_path: Path) -> None:
    report = taught(base, tmp_path / "out", replace(SETTINGS, held_back=0.0))
    assert (report.held, report.best_step, report.steps) == (0, 18, 18)
    assert report.evaluations[-1].held_loss is None


def test_equal_prompts_are_held_back_together_wherever_they_stand() -> None:
    settings = TrainingSettings(held_back=0.2)
    prompts = [(i % 50,) for i in range(100)]
    found = held_back(prompts, settings)
    chosen = {prompt for prompt, is_held in zip(prompts, found, strict=True) if is_held}
    assert len(chosen) == 10
    assert found[:50] == found[50:]
    assert held_back(prompts[::-1], settings) == found[::-1]
    assert sum(held_back(prompts, replace(settings, held_most=3))) == 6
    assert held_back([(1,)], settings) == [False]


def test_rows_too_long_for_the_model_are_refused_by_number(base: Base, tmp_path: Path) -> None:
    rows = [{"prompt": "", "answer": ""}, {"prompt": "a" * 90, "answer": "b"}]
    mixed = checked_rows([*rows, *({"prompt": r.prompt, "answer": r.answer} for r in ROWS.kept)])
    report = taught(base, tmp_path / "out", replace(SETTINGS, epochs=1), rows=mixed)
    assert [each.number for each in report.refused] == [1, 2]
    assert report.refused[1].why.startswith("huge: expected at most 64 tokens, got ")
    with pytest.raises(TrainingRowsError, match="got 48 of 48:\n  row 1: huge: expected at most 8 tokens"):
        taught(base, tmp_path / "none", replace(SETTINGS, max_tokens=8))


def test_a_loss_that_is_no_number_ends_the_training(base: Base, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="expected a finite loss, got nan; try a lower learning rate"):
        taught(base, tmp_path / "out", replace(SETTINGS, learning_rate=1e30))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rank": 0}, "rank: expected 1 to 256, got 0"),
        ({"epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate: expected more than 0, got 0.0"),
        ({"held_back": 1.0}, "held_back: expected 0 to less than 1, got 1.0"),
        ({"seed": -1}, "seed: expected 0 or more, got -1"),
        ({"targets": ()}, r"targets: expected at least one module name, got \(\)"),
        ({"piece_tokens": 10}, "piece_tokens: expected max_tokens or more, got 10"),
    ],
)
def test_wrong_settings_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        replace(SETTINGS, **change)


def test_modules_that_the_base_has_not_are_refused(base: Base, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"targets: expected some of .*q_proj.*, got qkv_proj"):
        taught(base, tmp_path / "out", replace(SETTINGS, targets=("qkv_proj", "o_proj")))


def test_nothing_but_an_adapter_is_written_over(base: Base, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("Chapter 1")
    with pytest.raises(TrainingError, match=r"expected nothing or an adapter there, got thesis\.tex"):
        taught(base, tmp_path)


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"device: expected auto(, cpu)? or c(pu|uda), got 'tpu'"):
        device_named("tpu")


def test_an_adapter_of_another_base_is_refused(base: Base, trained: TrainingReport, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="expected an adapter with adapter_config"):
        load_trainee(base.folder, tmp_path, device=torch.device("cpu"), dtype="float32")


def test_the_rate_rises_and_falls_in_lines() -> None:
    settings = TrainingSettings(learning_rate=1.0, warm_up=0.2)
    rates = [rate_at(step, 10, settings) for step in range(10)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])
