"""The mean of adapters: as good as exact where its rank suffices, and refused where there is none."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools" / "specialists"))

torch = pytest.importorskip("torch")
from averaged import averaged, write_mean  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from pinnace.errors import TrainingError  # noqa: E402

DOWN, UP = "layers.0.q_proj.lora_A.weight", "layers.0.q_proj.lora_B.weight"


def adapter(seed: int, down: "torch.Tensor | None" = None) -> dict[str, "torch.Tensor"]:
    draw = torch.Generator().manual_seed(seed)
    made = torch.randn(4, 12, generator=draw) if down is None else down
    return {DOWN: made, UP: torch.randn(10, 4, generator=draw)}


def product(weights: dict[str, "torch.Tensor"]) -> "torch.Tensor":
    return weights[UP] @ weights[DOWN]


def test_of_adapters_with_the_same_a_the_mean_is_exact() -> None:
    first = adapter(0)
    second = adapter(1, down=first[DOWN])
    mean, lost = averaged([first, second])
    assert {name: tensor.shape for name, tensor in mean.items()} == {
        name: tensor.shape for name, tensor in first.items()
    }
    assert torch.allclose(product(mean), (product(first) + product(second)) / 2, atol=1e-4)
    assert lost == pytest.approx(0, abs=1e-9)


def test_what_is_cut_off_is_told() -> None:
    first, second = adapter(0), adapter(1)
    mean, lost = averaged([first, second])
    exact = (product(first) + product(second)) / 2
    gone = (product(mean) - exact).square().sum() / exact.square().sum()
    assert 0 < lost < 1
    assert lost == pytest.approx(float(gone), abs=1e-4)


def test_adapters_of_other_shapes_have_no_mean() -> None:
    with pytest.raises(TrainingError, match="the same modules and ranks"):
        averaged([adapter(0), {name: tensor[:, :3] for name, tensor in adapter(1).items()}])


def folder_of(path: Path, seed: int, rank: int = 4) -> Path:
    path.mkdir()
    save_file(adapter(seed), str(path / "adapter_model.safetensors"))
    (path / "adapter_config.json").write_text(json.dumps({"r": rank}), encoding="utf-8")
    (path / "training.json").write_text(json.dumps({"seed": seed}), encoding="utf-8")
    return path


def test_a_folder_has_the_mean_and_the_reports_of_all(tmp_path: Path) -> None:
    first, second = folder_of(tmp_path / "a", 0), folder_of(tmp_path / "b", 1)
    out = tmp_path / "out"
    lost = write_mean([first, second], out)
    assert set(load_file(out / "adapter_model.safetensors")) == {DOWN, UP}
    report = json.loads((out / "training.json").read_bytes())
    assert (report["mean_of"], report["energy_lost"]) == ([{"seed": 0}, {"seed": 1}], round(lost, 6))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "b", "out"]
    write_mean([second], out)
    assert json.loads((out / "training.json").read_bytes())["mean_of"] == [{"seed": 1}]


def test_what_is_no_adapter_is_refused(tmp_path: Path) -> None:
    first, other = folder_of(tmp_path / "a", 0), folder_of(tmp_path / "b", 1, rank=8)
    with pytest.raises(TrainingError, match="of one configuration"):
        write_mean([first, other], tmp_path / "out")
    with pytest.raises(TrainingError, match="expected an adapter"):
        write_mean([first, tmp_path], tmp_path / "out")
    (first / "training.json").rename(tmp_path / "kept")
    with pytest.raises(TrainingError, match="expected an adapter with its report"):
        write_mean([first], tmp_path / "out")
    (tmp_path / "kept").rename(first / "training.json")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(TrainingError, match="expected nothing or an adapter"):
        write_mean([first], tmp_path / "full")
