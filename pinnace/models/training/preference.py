"""Preference training: an adapter learns to prefer right answers to wrong ones that it used to write.

Direct preference optimisation (Rafailov et al. 2023, equation 7), on top of an adapter that was trained
before; that adapter, as it was, is the reference. TRL has the same loss, but needs pandas and datasets,
writes its checkpoints as pickles and computes the logits of every position; the ten lines of it stand here.
"""

import importlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pinnace.models.tokens import ChatTokenizer
from pinnace.models.training.label_logits import token_losses
from pinnace.models.training.length_buckets import pieces_of
from pinnace.models.training.lesson import Lesson, Logits, Losses, logits_for
from pinnace.models.training.preference_pairs import PreferencePair
from pinnace.models.training.report import TrainingReport
from pinnace.models.training.row_tokens import TokenRow, piece_of, token_rows
from pinnace.models.training.rows import Refusal, TrainingRows, check_refusals
from pinnace.models.training.run import OnStep
from pinnace.models.training.settings import TrainingSettings
from pinnace.models.training.train import parted
from pinnace.models.training.trainee import ADAPTER_WEIGHTS, Dtype, Trainee, load_trainee, read_config
from pinnace.models.training.workshop import (
    CHECKPOINT_S,
    Base,
    Training,
    file_sha256,
    run_training,
    sha256_of,
)

BETA = 0.1
SETTINGS = TrainingSettings(learning_rate=1e-4, epochs=1, batch=16)
"""A tenth of the rate that answers are learnt at: the adapter is to move, not to forget."""


class TokenPair(NamedTuple):
    """A pair as token ids: both rows have the same prompt."""

    chosen: TokenRow
    rejected: TokenRow


def train_preferences(
    pairs: Sequence[PreferencePair],
    base: Base,
    adapter: Path,
    out: Path,
    settings: TrainingSettings = SETTINGS,
    *,
    beta: float = BETA,
    device: str = "auto",
    dtype: Dtype = "bfloat16",
    threads: int | None = None,
    checkpoint_s: float = CHECKPOINT_S,
    on_step: OnStep = lambda step: None,
) -> TrainingReport:
    """Train the adapter in the folder `adapter` on `pairs`, and write what becomes of it to `out`.

    Resumes, and tells, as `pinnace.models.training.train`; `held_right` is the share of held-back pairs of
    which the right answer gained on the wrong one.

    :param settings: rank, alpha and targets are the adapter's own, whatever they say.
    :param beta: how dear it is to depart from the adapter as it was: more is dearer.
    :raises TrainingRowsError: when there is no pair, or too many are longer than `settings.max_tokens`.
    :raises TrainingError: as `train`, and when `adapter` is none.
    """
    config = read_config(adapter)
    own = replace(
        settings, rank=config["r"], alpha=config["lora_alpha"], targets=tuple(config["target_modules"])
    )
    made, refused = _token_pairs(pairs, ChatTokenizer(base.folder), own)
    check_refusals(len(pairs), refused)
    learnt, held = parted(made, [pair.chosen.prompt for pair in made], own)
    training = Training(
        base=base,
        out=out,
        settings=own,
        dtype=dtype,
        of=sha256_of([beta, file_sha256(adapter / ADAPTER_WEIGHTS), [asdict(pair) for pair in pairs]]),
        rows=len(learnt),
        held=len(held),
        refused=tuple(refused),
        make=partial(load_trainee, base.folder, adapter, dtype=dtype),
        lessons=partial(_lessons, learnt, held, beta, own.piece_tokens),
        begin=adapter,
    )
    return run_training(training, device=device, threads=threads, checkpoint_s=checkpoint_s, on_step=on_step)


class PreferenceLesson:
    """Prefer what is chosen to what is rejected, by more than the trainee does when the lesson is made.

    An item is right where the chosen answer has gained on the rejected one.
    """

    def __init__(
        self, pairs: Sequence[TokenPair], trainee: Trainee, logits: Logits, beta: float, piece_tokens: int
    ) -> None:
        self.lengths = [2 * max(map(len, pair)) for pair in pairs]
        self.weights = [1] * len(pairs)
        self._pairs = pairs
        self._device = trainee.device
        self._logits = logits
        self._beta = beta
        self._reference: Any = self._leads_now(trainee, piece_tokens)

    def losses(self, model: Any, items: Sequence[int]) -> Losses:
        """See `Lesson`."""
        functional: Any = importlib.import_module("torch.nn.functional")
        gained = self._leads(model, items) - self._reference[list(items)]
        return Losses(-functional.logsigmoid(self._beta * gained).sum(), int((gained > 0).sum()))

    def _leads(self, model: Any, items: Sequence[int]) -> Any:
        """By how much log-probability the chosen answer leads the rejected one, (items,)."""
        torch: Any = importlib.import_module("torch")
        rows = [row for item in items for row in self._pairs[item]]
        piece = piece_of(rows, self._device)
        losses = token_losses(self._logits(model, piece), piece.label)
        of_rows = torch.zeros(len(rows), device=self._device).index_add(0, piece.row, losses)
        chosen, rejected = of_rows.view(-1, 2).unbind(1)
        return rejected - chosen

    def _leads_now(self, trainee: Trainee, piece_tokens: int) -> Any:
        torch: Any = importlib.import_module("torch")
        leads = torch.zeros(len(self._pairs), device=self._device)
        trainee.peft.eval()
        with torch.no_grad(), trainee.computing():
            for piece in pieces_of(range(len(self._pairs)), self.lengths, piece_tokens):
                leads[list(piece)] = self._leads(trainee.language, piece)
        return leads


def _token_pairs(
    pairs: Sequence[PreferencePair], tokenizer: ChatTokenizer, settings: TrainingSettings
) -> tuple[list[TokenPair], list[Refusal]]:
    """The pairs as token ids, and the refusals of those that are too long on either side."""
    made: list[TokenPair] = []
    refused: list[Refusal] = []
    for number, pair in enumerate(pairs, start=1):
        both = TrainingRows((pair.row, replace(pair.row, answer=pair.rejected)))
        kept, too_long = token_rows(both, tokenizer, settings.system, settings.max_tokens)
        if too_long:
            refused.append(replace(too_long[0], number=number))
        else:
            made.append(TokenPair(*kept))
    return made, refused


def _lessons(
    learnt: Sequence[TokenPair], held: Sequence[TokenPair], beta: float, piece_tokens: int, trainee: Trainee
) -> tuple[Lesson, Lesson | None]:
    trainee.attend(max(len(row) for pair in learnt for row in pair))
    with trainee.computing():
        logits = logits_for(trainee.language, list(learnt[0]), trainee.device)
    lesson = PreferenceLesson(learnt, trainee, logits, beta, piece_tokens)
    return lesson, PreferenceLesson(held, trainee, logits, beta, piece_tokens) if held else None
