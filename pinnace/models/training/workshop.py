"""The shop of a training: what surrounds its loop, whatever is learnt.

One process at a time trains into a folder. While it does, a folder `.<name>.training` beside it has the
lock and the checkpoint; in the end the adapter's folder appears whole, and that one goes. Torch's threads
and random state are the caller's again afterwards.
"""

import hashlib
import importlib
import json
import os
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pinnace.errors import TrainingError
from pinnace.models.adapters.folder import check_replaceable, read_report, write_adapter
from pinnace.models.cpu_settings import bound_kernels
from pinnace.models.training.checkpoint import Checkpoint
from pinnace.models.training.lesson import Lesson
from pinnace.models.training.report import TrainingReport, report_of
from pinnace.models.training.rows import Refusal
from pinnace.models.training.run import OnStep, TrainingRun
from pinnace.models.training.settings import TrainingSettings
from pinnace.models.training.trainee import Dtype, Trainee, device_named

CHECKPOINT_S = 30.0
FORMAT = 1
"""Raise it when the same rows and settings come to another adapter than before."""


@dataclass(frozen=True, slots=True)
class Base:
    """The model that an adapter is laid on: its name, and the folder of its weights."""

    name: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Training:
    """One training that is to be run.

    `of` tells what is learnt from. `make` loads the trainee onto a device, and `lessons` has what it learns
    and what is held back of it. `begin` is the adapter that it goes on from.
    """

    base: Base
    out: Path
    settings: TrainingSettings
    dtype: Dtype
    of: str
    rows: int
    held: int
    refused: tuple[Refusal, ...]
    make: Callable[..., Trainee]
    lessons: Callable[[Trainee], tuple[Lesson, Lesson | None]]
    begin: Path | None = None


def run_training(
    training: Training, *, device: str, threads: int | None, checkpoint_s: float, on_step: OnStep
) -> TrainingReport:
    """Run a training to its end, or tell that it has been; see `pinnace.models.training.train`."""
    check_replaceable(training.out)
    base_sha256 = weights_sha256(training.base.folder)
    told = {**asdict(training.settings), "dtype": training.dtype}
    of = _name_of(training.of, base_sha256, told)
    finished = read_report(training.out)
    if finished is not None and finished.get("of") == of:
        return report_of(training.out, finished)
    with ExitStack() as stack:
        place = device_named(device)
        folder = stack.enter_context(_workshop(training.out))
        stack.enter_context(_torch_lent(place, threads))
        trainee = training.make(device=place)
        run = TrainingRun(
            trainee,
            *training.lessons(trainee),
            training.settings,
            Checkpoint(folder / "checkpoint.safetensors", of),
            checkpoint_s=checkpoint_s,
            on_step=on_step,
        )
        standing = run.run()
        report = TrainingReport(
            folder=training.out,
            base=training.base.name,
            base_sha256=base_sha256,
            of=of,
            settings=told,
            rows=training.rows,
            held=training.held,
            refused=training.refused,
            tokens=standing.tokens,
            seconds=round(standing.seconds, 1),
            steps=standing.step,
            best_step=standing.best_step,
            evaluations=tuple(standing.evaluations),
            device=place.type,
            begin=None if training.begin is None else read_report(training.begin),
        )
        write_adapter(trainee, training.out, base=training.base.name, report=report.as_dict())
        shutil.rmtree(folder)
    return report


def is_trained_from(report: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], base: Path) -> bool:
    """Whether what an adapter's report tells is a training on exactly these rows, on the base in a folder."""
    return report.get("of") == _name_of(sha256_of(rows), weights_sha256(base), report.get("settings"))


def _name_of(of: str, base_sha256: str, settings: Mapping[str, Any] | None) -> str:
    return sha256_of([FORMAT, of, base_sha256, settings])


def sha256_of(value: Any) -> str:
    """The hash of a value that JSON has."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def weights_sha256(folder: Path) -> str:
    """The hash of a model's weights and configuration, which tells it from every other."""
    paths = sorted([*folder.glob("*.safetensors"), folder / "config.json"])
    return hashlib.sha256(b"".join(bytes.fromhex(file_sha256(path)) for path in paths)).hexdigest()


def file_sha256(path: Path) -> str:
    """The hash of one file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _workshop(out: Path) -> Generator[Path, None, None]:
    """The folder beside `out` for what a training needs until its end, for this process alone."""
    folder = out.with_name(f".{out.name}.training")
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise TrainingError(f"{out}: another process is training it") from None
    try:
        yield folder
    finally:
        lock.release()
        if not any(folder.glob("checkpoint*")):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _torch_lent(device: Any, threads: int | None) -> Generator[None, None, None]:
    bound_kernels()  # every batch has lengths of its own
    torch: Any = importlib.import_module("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        torch.set_num_threads(before)
