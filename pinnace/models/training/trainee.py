"""A base with a fresh adapter on it, ready to learn: loaded here, and its adapter taken out and put back.

The base stays as it is, in its own type; the adapter's weights are fp32, and are cast to the base's where it
computes in bf16: they are small, what peft would cast instead is every activation. Knows nothing of losses.
"""

import importlib
import json
import math
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pinnace.errors import TrainingError
from pinnace.models.training.settings import TrainingSettings

Dtype = Literal["bfloat16", "float32"]
SHORT_ROWS = 256
"""Tokens of the longest row up to which attention is plain products on CPU."""
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@dataclass(frozen=True, slots=True)
class Trainee:
    """`language` is the base with the adapter inside, `peft` the same as peft has it."""

    peft: Any
    language: Any
    device: Any

    def computing(self) -> AbstractContextManager[Any]:
        """Where the model runs forward: fp32 weights are cast to the base's own type, if that is another."""
        torch: Any = importlib.import_module("torch")
        dtype = self.language.dtype
        return torch.autocast(self.device.type, dtype=dtype, enabled=dtype != torch.float32)

    def attend(self, longest: int) -> None:
        """Choose how attention is computed for rows of at most `longest` tokens.

        On CPU the backward of torch's flash attention takes a third of a step of short rows, and plain
        products a tenth (docs/log.md); for long ones these would take too much memory.
        """
        is_plain = self.device.type == "cpu" and longest <= SHORT_ROWS
        self.language.set_attn_implementation("eager" if is_plain else "sdpa")

    def weights(self) -> dict[str, Any]:
        """The adapter's weights by name; what is learnt."""
        return {name: weight for name, weight in self.peft.named_parameters() if weight.requires_grad}

    def put(self, weights: Mapping[str, Any]) -> None:
        """Set the adapter's weights to these."""
        torch: Any = importlib.import_module("torch")
        with torch.no_grad():
            for name, weight in self.weights().items():
                weight.copy_(weights[name])


def device_named(name: str) -> Any:
    """`auto`: a CUDA device where there is one, else the CPU.

    :raises TrainingError: when there is no such device.
    """
    torch: Any = importlib.import_module("torch")
    there = bool(torch.cuda.is_available())
    if name == "auto":
        return torch.device("cuda" if there else "cpu")
    if name == "cpu" or (name == "cuda" and there):
        return torch.device(name)
    raise TrainingError(f"device: expected {'auto, cpu or cuda' if there else 'auto or cpu'}, got {name!r}")


def make_trainee(folder: Path, settings: TrainingSettings, *, device: Any, dtype: Dtype) -> Trainee:
    """Load the base in `folder` and lay a fresh adapter on it, drawn from `settings.seed`.

    :raises TrainingError: when peft is not installed, or the base has none of the modules asked for.
    """
    torch: Any = importlib.import_module("torch")
    peft = _peft()
    base = _load_base(folder, device, getattr(torch, dtype))
    _check_targets(base, settings)
    torch.manual_seed(settings.seed)
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.targets),
    )
    return _trainee(peft.get_peft_model(base, config), device)


def load_trainee(folder: Path, adapter: Path, *, device: Any, dtype: Dtype) -> Trainee:
    """Load the base in `folder` with the adapter in another folder, ready to learn on.

    :raises TrainingError: when peft is not installed, or the folder holds no adapter of this base.
    """
    torch: Any = importlib.import_module("torch")
    peft = _peft()
    read_config(adapter)
    base = _load_base(folder, device, getattr(torch, dtype))
    try:
        loaded = peft.PeftModel.from_pretrained(base, str(adapter), is_trainable=True)
    except (RuntimeError, ValueError, OSError) as error:
        raise TrainingError(f"{adapter}: expected an adapter of the base in {folder}: {error}") from None
    return _trainee(loaded, device)


def read_config(adapter: Path) -> Mapping[str, Any]:
    """The adapter's own configuration, as peft wrote it.

    :raises TrainingError: when the folder holds no adapter in safetensors.
    """
    try:
        found: Any = json.loads((adapter / ADAPTER_CONFIG).read_bytes())
    except (OSError, ValueError) as error:
        raise TrainingError(f"{adapter}: expected an adapter with {ADAPTER_CONFIG}: {error}") from None
    if not isinstance(found, dict) or not (adapter / ADAPTER_WEIGHTS).is_file():
        raise TrainingError(f"{adapter}: expected an adapter with {ADAPTER_WEIGHTS}, got none")
    return found  # pyright: ignore[reportUnknownVariableType]


def _peft() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module("peft")
    except ImportError as error:
        raise TrainingError(f"training needs pinnace[train]: {error}") from None


def _load_base(folder: Path, device: Any, dtype: Any) -> Any:
    transformers: Any = importlib.import_module("transformers")
    shown: Any = importlib.import_module("transformers.utils.logging")
    was_shown = shown.is_progress_bar_enabled()
    shown.disable_progress_bar()
    try:
        base = transformers.AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=dtype, use_safetensors=True, local_files_only=True, trust_remote_code=False
        )
    finally:
        if was_shown:
            shown.enable_progress_bar()
    return base.to(device)


def _check_targets(base: Any, settings: TrainingSettings) -> None:
    linear: Any = importlib.import_module("torch.nn").Linear
    there = {name.rpartition(".")[2] for name, module in base.named_modules() if isinstance(module, linear)}
    if missing := [name for name in settings.targets if name not in there]:
        raise TrainingError(f"targets: expected some of {', '.join(sorted(there))}, got {', '.join(missing)}")


def _trainee(model: Any, device: Any) -> Trainee:
    model.train()
    layer: Any = importlib.import_module("peft.tuners.lora").LoraLayer
    for module in model.modules():
        if isinstance(module, layer):
            module.cast_input_dtype_enabled = False  # `computing` casts the weights instead
    return Trainee(model, model.get_base_model(), device)


def check_finite(loss: float, step: int) -> None:
    """Stop a training that has diverged.

    :raises TrainingError: when the loss is no number any more.
    """
    if not math.isfinite(loss):
        raise TrainingError(f"step {step}: expected a finite loss, got {loss}; try a lower learning rate")
