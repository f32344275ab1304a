"""The loop of a training: batch after batch until the last epoch, or until the held-back rows gain no more.

Knows lessons by their losses alone, and writes nothing but checkpoints. Where it is killed, the next run
goes on from the last of them and ends with the same adapter.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

from pinnace.models.training.checkpoint import Checkpoint, Evaluation, Standing
from pinnace.models.training.length_buckets import batches_of, pieces_of
from pinnace.models.training.lesson import Lesson
from pinnace.models.training.report import StepTaken
from pinnace.models.training.settings import TrainingSettings, rate_at
from pinnace.models.training.trainee import Trainee, check_finite

OnStep = Callable[[StepTaken], None]


class TrainingRun:
    """One training of one adapter, from its checkpoint where there is one.

    :param held: what is never trained on and decides which step was the best; None where nothing is.
    :param checkpoint_s: seconds between checkpoints.
    """

    def __init__(
        self,
        trainee: Trainee,
        lesson: Lesson,
        held: Lesson | None,
        settings: TrainingSettings,
        checkpoint: Checkpoint,
        *,
        checkpoint_s: float,
        on_step: OnStep,
    ) -> None:
        self._trainee = trainee
        self._lesson = lesson
        self._held = held
        self._settings = settings
        self._checkpoint = checkpoint
        self._checkpoint_s = checkpoint_s
        self._on_step = on_step
        self._per_epoch = -(-len(lesson.lengths) // settings.batch)
        self.steps = self._per_epoch * settings.epochs
        self._evaluated_after = _evaluation_steps(self._per_epoch, settings)
        torch: Any = importlib.import_module("torch")
        self._optimizer: Any = torch.optim.AdamW(trainee.weights().values(), lr=0.0, weight_decay=0.0)
        self._standing = Standing()
        self._best: Mapping[str, Any] = {}

    def run(self) -> Standing:
        """Train to the end; the trainee has the best adapter then."""
        if found := self._checkpoint.load(self._trainee, self._optimizer):
            self._standing, self._best = found
        standing = self._standing
        saved = clock = perf_counter()
        while standing.step < self.steps and not standing.is_over:
            loss = self._step()
            evaluation = self._evaluation() if standing.step in self._evaluated_after else None
            now = perf_counter()
            standing.seconds += now - clock
            clock = now
            if now - saved >= self._checkpoint_s:
                self._checkpoint.save(standing, self._trainee, self._optimizer, self._best)
                saved = now
            self._tell(loss, evaluation)
        if self._best:
            self._trainee.put(self._best)
        return standing

    def _step(self) -> float:
        """Learn from the next batch; its mean loss before that."""
        epoch, at = divmod(self._standing.step, self._per_epoch)
        settings, lesson = self._settings, self._lesson
        batch = batches_of(lesson.lengths, settings.batch, seed=settings.seed, epoch=epoch)[at]
        weight = sum(lesson.weights[item] for item in batch)
        total = 0.0
        self._trainee.peft.train()
        for piece in pieces_of(batch, lesson.lengths, settings.piece_tokens):
            with self._trainee.computing():
                loss = lesson.losses(self._trainee.language, piece).loss
            (loss / weight).backward()
            total += float(loss.detach())
        check_finite(total, self._standing.step + 1)
        self._move()
        standing = self._standing
        standing.step += 1
        standing.loss += total
        standing.weight += weight
        standing.tokens += sum(lesson.lengths[item] for item in batch)
        return total / weight

    def _move(self) -> None:
        """Step along the gradient, at the rate of this step."""
        torch: Any = importlib.import_module("torch")
        for group in self._optimizer.param_groups:
            group["lr"] = rate_at(self._standing.step, self.steps, self._settings)
        torch.nn.utils.clip_grad_norm_(self._trainee.weights().values(), self._settings.clip)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def _evaluation(self) -> Evaluation:
        """Take the loss of what is held back, and note whether the training gets anywhere."""
        standing = self._standing
        loss, right = self._held_loss()
        made = Evaluation(
            step=standing.step,
            epoch=round(standing.step / self._per_epoch, 3),
            train_loss=standing.loss / standing.weight,
            held_loss=loss,
            held_right=right,
        )
        standing.loss, standing.weight = 0.0, 0
        if loss is None or loss < min(_held_losses(standing.evaluations), default=float("inf")):
            self._best = {name: weight.detach().clone() for name, weight in self._trainee.weights().items()}
            standing.best_step, standing.misses = standing.step, 0
        else:
            standing.misses += 1
            standing.is_over = standing.misses >= self._settings.patience
        standing.evaluations.append(made)
        return made

    def _held_loss(self) -> tuple[float, float] | tuple[None, None]:
        """The mean loss of what is held back, and the share that is right."""
        if self._held is None:
            return None, None
        torch: Any = importlib.import_module("torch")
        held, total, right = self._held, 0.0, 0
        self._trainee.peft.eval()
        with torch.no_grad(), self._trainee.computing():
            for piece in pieces_of(range(len(held.lengths)), held.lengths, self._settings.piece_tokens):
                found = held.losses(self._trainee.language, piece)
                total += float(found.loss)
                right += found.right
        return total / sum(held.weights), right / len(held.lengths)

    def _tell(self, loss: float, evaluation: Evaluation | None) -> None:
        standing = self._standing
        self._on_step(
            StepTaken(standing.step, self.steps, loss, standing.tokens, standing.seconds, evaluation)
        )


def _evaluation_steps(per_epoch: int, settings: TrainingSettings) -> frozenset[int]:
    """After which steps the held-back rows are asked: evenly in each epoch, the last time at its end."""
    parts = min(settings.evaluations, per_epoch)
    ends = range(1, settings.epochs * parts + 1)
    return frozenset(round(end * per_epoch / parts) for end in ends)


def _held_losses(evaluations: Sequence[Evaluation]) -> list[float]:
    return [each.held_loss for each in evaluations if each.held_loss is not None]
