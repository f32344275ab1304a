"""Where a training stands, in one safetensors file: weights, optimizer, random state, what was seen so far.

The file is written beside its place and renamed, so there is always a whole one. It says of which training
it is; another training does not go on from it. No pickle, so nothing in it can run.
"""

import importlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pinnace.errors import TrainingError
from pinnace.models.training.trainee import Trainee

MOMENTS = ("exp_avg", "exp_avg_sq")
"""What AdamW keeps of each weight."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How far a training was after `step` steps.

    `train_loss` is the mean over what was trained on since the evaluation before; `held_loss` and
    `held_right` (the share that greedy decoding would answer to the letter) are of the rows held back, None
    without any.
    """

    step: int
    epoch: float
    train_loss: float
    held_loss: float | None = None
    held_right: float | None = None


@dataclass(slots=True)
class Standing:
    """Where a training stands. `loss` and `weight` are added up since the last evaluation."""

    step: int = 0
    loss: float = 0.0
    weight: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best_step: int = 0
    misses: int = 0
    is_over: bool = False
    evaluations: list[Evaluation] = field(default_factory=list[Evaluation])


class Checkpoint:
    """Keeps one training's standing at `path`.

    :param of: what the training is, as one text; see `fingerprint`.
    """

    def __init__(self, path: Path, of: str) -> None:
        self.path = path
        self._of = of

    def save(self, standing: Standing, trainee: Trainee, optimizer: Any, best: Mapping[str, Any]) -> None:
        """Write down where the training stands, whole or not at all."""
        files: Any = importlib.import_module("safetensors.torch")
        weights = trainee.weights()
        tensors = {f"now/{name}": weight.detach() for name, weight in weights.items()}
        tensors |= {f"best/{name}": weight for name, weight in best.items()}
        for moment in MOMENTS:
            tensors |= {
                f"{moment}/{name}": optimizer.state[weight][moment]
                for name, weight in weights.items()
                if weight in optimizer.state
            }
        tensors |= _random_states(trainee.device)
        beside = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        whole = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
        files.save_file(
            whole, str(beside), metadata={"of": self._of, "standing": json.dumps(asdict(standing))}
        )
        beside.replace(self.path)

    def load(self, trainee: Trainee, optimizer: Any) -> tuple[Standing, dict[str, Any]] | None:
        """Put trainee, optimizer and random state back; where the training stood and its best weights.

        None where nothing was saved yet.

        :raises TrainingError: when the file is of another training, or damaged.
        """
        if not self.path.is_file():
            return None
        files: Any = importlib.import_module("safetensors.torch")
        errors: tuple[type[Exception], ...] = (
            importlib.import_module("safetensors").SafetensorError,
            *(OSError, ValueError, KeyError, TypeError, RuntimeError),
        )
        try:
            standing = self._standing()
            tensors = files.load_file(str(self.path), device=str(trainee.device))
            trainee.put(_under("now", tensors))
            _put_moments(trainee, optimizer, tensors, standing.step)
            _put_random_states(tensors)
        except errors as error:
            raise TrainingError(
                f"{self.path}: a damaged checkpoint; delete it to begin anew: {error}"
            ) from None
        return standing, _under("best", tensors)

    def _standing(self) -> Standing:
        metadata = _metadata(self.path)
        if metadata.get("of") != self._of:
            raise TrainingError(
                f"{self.path}: an unfinished training with other rows, settings or another base; "
                f"finish that as it was begun, or delete this file"
            )
        fields: dict[str, Any] = json.loads(metadata["standing"])
        evaluations = [Evaluation(**each) for each in fields.pop("evaluations")]
        return Standing(**fields, evaluations=evaluations)


def _metadata(path: Path) -> Mapping[str, str]:
    safetensors: Any = importlib.import_module("safetensors")
    with safetensors.safe_open(str(path), framework="pt") as file:
        return file.metadata() or {}


def _under(name: str, tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {key.partition("/")[2]: tensor for key, tensor in tensors.items() if key.startswith(f"{name}/")}


def _put_moments(trainee: Trainee, optimizer: Any, tensors: Mapping[str, Any], step: int) -> None:
    torch: Any = importlib.import_module("torch")
    moments: Sequence[dict[str, Any]] = [_under(moment, tensors) for moment in MOMENTS]
    for name, weight in trainee.weights().items():
        kept = {moment: found[name] for moment, found in zip(MOMENTS, moments, strict=True)}
        optimizer.state[weight] = {"step": torch.tensor(float(step)), **kept}


def _random_states(device: Any) -> dict[str, Any]:
    torch: Any = importlib.import_module("torch")
    states = {"random/cpu": torch.get_rng_state()}
    return states | ({"random/cuda": torch.cuda.get_rng_state()} if device.type == "cuda" else {})


def _put_random_states(tensors: Mapping[str, Any]) -> None:
    torch: Any = importlib.import_module("torch")
    torch.set_rng_state(tensors["random/cpu"].cpu())
    if "random/cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random/cuda"].cpu())
