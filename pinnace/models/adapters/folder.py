"""A trained adapter as a folder that peft and vLLM load: its configuration, its weights in bf16, its report.

The folder is written beside its place and swapped in when it is whole. What is written depends on nothing
but the training: the same training gives the same bytes, the seconds in its report apart.
"""

import importlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pinnace.errors import TrainingError
from pinnace.models.in_place import put_in_place
from pinnace.models.training.trainee import ADAPTER_CONFIG, ADAPTER_WEIGHTS, Trainee

REPORT = "training.json"


def write_adapter(trainee: Trainee, folder: Path, *, base: str, report: Mapping[str, Any]) -> None:
    """Write the trainee's adapter to `folder`; what lay there before goes when the new one is whole.

    :param base: the name of the base, as the adapter's configuration gives it.
    :raises TrainingError: when `folder` holds anything but an adapter.
    """
    weights = _weights(trainee)
    write_files(folder, weights, config=_config(trainee, base), report=report)


def write_files(
    folder: Path, weights: Mapping[str, Any], *, config: Mapping[str, Any], report: Mapping[str, Any]
) -> None:
    """Write an adapter of these tensors to `folder`, as :func:`write_adapter` does.

    :param weights: the tensors by their names in the file.
    :raises TrainingError: when `folder` holds anything but an adapter.
    """
    files: Any = importlib.import_module("safetensors.torch")
    check_replaceable(folder)
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    beside.mkdir(parents=True)
    try:
        files.save_file(weights, str(beside / ADAPTER_WEIGHTS), metadata={"format": "pt"})
        (beside / ADAPTER_WEIGHTS).chmod(0o644)  # safetensors writes it for the owner alone
        _write_json(config, beside / ADAPTER_CONFIG)
        _write_json(report, beside / REPORT)
        _keep_others(folder, beside)
        put_in_place(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def check_replaceable(folder: Path) -> None:
    """Refuse a place where something else lies.

    :raises TrainingError: unless nothing is at `folder`, an empty folder or an adapter.
    """
    if not folder.exists():
        return
    names = {entry.name for entry in folder.iterdir()} if folder.is_dir() else {"a file"}
    if names and ADAPTER_CONFIG not in names:
        raise TrainingError(
            f"{folder}: expected nothing or an adapter there, got {', '.join(sorted(names)[:5])}"
        )


def read_report(folder: Path) -> Mapping[str, Any] | None:
    """The report of the training that wrote `folder`; None where it has none."""
    try:
        found: Any = json.loads((folder / REPORT).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None  # pyright: ignore[reportUnknownVariableType]


def _weights(trainee: Trainee) -> Mapping[str, Any]:
    peft: Any = importlib.import_module("peft")
    torch: Any = importlib.import_module("torch")
    found = peft.get_peft_model_state_dict(trainee.peft, save_embedding_layers=False)
    return {name: found[name].detach().to("cpu", torch.bfloat16).contiguous() for name in sorted(found)}


def _config(trainee: Trainee, base: str) -> Mapping[str, Any]:
    """What peft writes, with sets in order, since theirs is another in every process."""
    config: dict[str, Any] = trainee.peft.peft_config["default"].to_dict()
    found = config | {"base_model_name_or_path": base, "inference_mode": True}
    return {name: sorted(value) if isinstance(value, set) else value for name, value in found.items()}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def _write_json(value: Mapping[str, Any], path: Path) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


def _keep_others(folder: Path, beside: Path) -> None:
    """Take over what a person put beside the old adapter: a card, a licence."""
    for path in folder.glob("*") if folder.is_dir() else ():
        if path.is_file() and not (beside / path.name).exists():
            shutil.copy2(path, beside / path.name)
