"""Writes the mean of trained adapters as one adapter of their rank.

    python tools/specialists/averaged.py first second -o adapters/tool_calls

After model soups (Wortsman et al., arXiv 2203.05482): what trainings from one beginning on different rows
have in common stays, and what each has by chance averages out. The mean of the products B A is cut back to
the rank by singular values; the report says what share of its energy that lost.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from pinnace.errors import PinnaceError, TrainingError
from pinnace.models.adapters.folder import read_report, write_files
from pinnace.models.training.trainee import ADAPTER_CONFIG, ADAPTER_WEIGHTS

Weights = Mapping[str, torch.Tensor]
DOWN, UP = "lora_A", "lora_B"


def averaged(adapters: Sequence[Weights]) -> tuple[dict[str, torch.Tensor], float]:
    """The mean of the adapters' products, in matrices of their own shapes, and the share of energy lost.

    :param adapters: per adapter its tensors by name: of each module A (rank, inputs) and B (outputs, rank).
    :raises TrainingError: when they are not of the same modules and shapes.
    """
    first = adapters[0]
    shapes = {name: tensor.shape for name, tensor in first.items()}
    if any({name: tensor.shape for name, tensor in each.items()} != shapes for each in adapters):
        raise TrainingError("expected adapters of the same modules and ranks, got different ones")
    found: dict[str, torch.Tensor] = {}
    kept = whole = 0.0
    for down in sorted(name for name in shapes if DOWN in name):
        up = down.replace(DOWN, UP)
        mean = sum(each[up].double() @ each[down].double() for each in adapters) / len(adapters)
        rank = shapes[down][0]
        left, values, right = torch.linalg.svd(mean, full_matrices=False)
        root = values[:rank].sqrt()
        found[down] = (root[:, None] * right[:rank]).to(first[down].dtype).contiguous()
        found[up] = (left[:, :rank] * root).to(first[up].dtype).contiguous()
        kept += float(values[:rank].square().sum())
        whole += float(values.square().sum())
    return found, 1.0 - kept / whole if whole else 0.0


def write_mean(folders: Sequence[Path], out: Path) -> float:
    """Write the mean of the adapters in `folders` to `out`; what lay there goes when it is whole.

    :raises TrainingError: when one is no adapter, they differ in more than their weights, or `out` holds
        something else.
    """
    config, *others = [_config(folder) for folder in folders]
    if any(other != config for other in others):
        raise TrainingError("expected adapters of one configuration, got different ones")
    reports = [read_report(folder) for folder in folders]
    for folder, report in zip(folders, reports, strict=True):
        if report is None or not (folder / ADAPTER_WEIGHTS).is_file():
            raise TrainingError(f"{folder}: expected an adapter with its report and its weights")
    weights, lost = averaged([load_file(folder / ADAPTER_WEIGHTS) for folder in folders])
    report = {"mean_of": reports, "energy_lost": round(lost, 6)}
    write_files(out, weights, config=config, report=report)
    return lost


def _config(folder: Path) -> Any:
    try:
        return json.loads((folder / ADAPTER_CONFIG).read_bytes())
    except (OSError, ValueError) as error:
        raise TrainingError(f"{folder}: expected an adapter, got none ({error})") from None


def main() -> int:
    """Write the mean, whole or not at all, and return the exit code."""
    parser = argparse.ArgumentParser(description="Write the mean of trained adapters.")
    parser.add_argument("adapters", type=Path, nargs="+")
    parser.add_argument("-o", "--out", type=Path, required=True)
    given = parser.parse_args()
    try:
        lost = write_mean(given.adapters, given.out)
    except PinnaceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{given.out}: the mean of {len(given.adapters)}, {lost:.2%} of its energy lost")
    return 0


if __name__ == "__main__":
    sys.exit(main())
