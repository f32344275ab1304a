"""Train a specialist: a LoRA adapter on a shared base, from prompts and the answers that are to be learnt.

The rows are rendered as the serving side renders a request, a part of them is held back, and the adapter
learns the rest. Knows nothing of what the adapter is good for: that is measured by `pinnace.eval`, on rows
that were never trained on.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any, TypeVar

from pinnace.errors import TrainingError
from pinnace.models.tokens import ChatTokenizer
from pinnace.models.training.lesson import AnswerLesson, Lesson, logits_for
from pinnace.models.training.report import TrainingReport
from pinnace.models.training.row_tokens import TokenRow, token_rows
from pinnace.models.training.rows import TrainingRows, check_refusals
from pinnace.models.training.run import OnStep
from pinnace.models.training.settings import TrainingSettings
from pinnace.models.training.trainee import (
    ADAPTER_WEIGHTS,
    Dtype,
    Trainee,
    load_trainee,
    make_trainee,
    read_config,
)
from pinnace.models.training.workshop import (
    CHECKPOINT_S,
    Base,
    Training,
    file_sha256,
    run_training,
    sha256_of,
)

_Row = TypeVar("_Row")


def train(
    rows: TrainingRows,
    base: Base,
    out: Path,
    settings: TrainingSettings,
    *,
    begin: Path | None = None,
    device: str = "auto",
    dtype: Dtype = "bfloat16",
    threads: int | None = None,
    checkpoint_s: float = CHECKPOINT_S,
    on_step: OnStep = lambda step: None,
) -> TrainingReport:
    """Train an adapter on `rows` and write it to the folder `out`.

    Killed and called again with the same, it goes on where it was; called again after its end, it has nothing
    to do.

    :param begin: the adapter to go on from, of the settings' rank, scale and targets; a fresh one by default.
    :param device: `auto`, `cpu` or `cuda`.
    :param dtype: what the base computes in; the adapter's weights are fp32 while they are learnt.
    :param threads: of torch on CPU; all that this process may use by default.
    :param checkpoint_s: seconds between checkpoints.
    :param on_step: called after every step.
    :raises TrainingRowsError: when too many rows are longer than `settings.max_tokens`.
    :raises TrainingError: when peft is missing, `out` holds something else or a training with other rows or
        settings, another process trains there, `begin` is another kind of adapter, or the loss is no number
        any more.
    """
    if begin is not None:
        _check_begin(begin, settings)
    made, too_long = token_rows(rows, ChatTokenizer(base.folder), settings.system, settings.max_tokens)
    check_refusals(len(rows.kept), too_long)
    learnt, held = parted(made, [row.prompt for row in made], settings)
    training = Training(
        base=base,
        out=out,
        settings=settings,
        dtype=dtype,
        of=_name_of(rows, begin),
        rows=len(learnt),
        held=len(held),
        refused=(*rows.refused, *too_long),
        make=partial(make_trainee, base.folder, settings, dtype=dtype)
        if begin is None
        else partial(load_trainee, base.folder, begin, dtype=dtype),
        lessons=partial(_lessons, learnt, held),
        begin=begin,
    )
    return run_training(training, device=device, threads=threads, checkpoint_s=checkpoint_s, on_step=on_step)


def held_back(prompts: Sequence[Any], settings: TrainingSettings) -> list[bool]:
    """Which prompts are held back; equal ones all or none, wherever they stand."""
    names = [hashlib.sha256(f"{settings.seed} {json.dumps(prompt)}".encode()).digest() for prompt in prompts]
    among = sorted(set(names))
    many = min(round(settings.held_back * len(among)), settings.held_most, len(among) - 1)
    chosen = set(among[:many])
    return [name in chosen for name in names]


def parted(
    rows: Sequence[_Row], prompts: Sequence[Any], settings: TrainingSettings
) -> tuple[list[_Row], list[_Row]]:
    """The rows to learn from and those held back, by their prompts."""
    is_held = held_back(prompts, settings)
    return list(compress(rows, (not each for each in is_held))), list(compress(rows, is_held))


def _name_of(rows: TrainingRows, begin: Path | None) -> str:
    """What the training is of: its rows, and the adapter that it goes on from."""
    of = [asdict(row) for row in rows.kept]
    return sha256_of(of if begin is None else [of, file_sha256(begin / ADAPTER_WEIGHTS)])


def _check_begin(begin: Path, settings: TrainingSettings) -> None:
    config = read_config(begin)
    got = config.get("r"), config.get("lora_alpha"), sorted(config.get("target_modules") or ())
    if got != (wanted := (settings.rank, settings.alpha, sorted(settings.targets))):
        raise TrainingError(f"{begin}: expected rank, alpha and targets {wanted}, got {got}")


def _lessons(
    learnt: Sequence[TokenRow], held: Sequence[TokenRow], trainee: Trainee
) -> tuple[Lesson, Lesson | None]:
    trainee.attend(max(map(len, learnt)))
    with trainee.computing():
        logits = logits_for(trainee.language, learnt, trainee.device)
    lesson = AnswerLesson(learnt, trainee.device, logits)
    return lesson, AnswerLesson(held, trainee.device, logits) if held else None
