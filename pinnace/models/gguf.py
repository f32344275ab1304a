"""One GGUF file to a folder of bf16 safetensors with its tokenizer, for loaders that want one.

The conversion runs in a child process: torch and transformers never enter this one, their memory and
threads go back when it ends, and the hub is switched off for it alone. Knows nothing of where the file
came from or where the folder will lie in the end.
"""

import importlib
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pinnace.errors import WeightsError

_TIMEOUT_S = 1800
_CHILD = "import sys; sys.path.append(sys.argv.pop(1)); from pinnace.models.gguf import main; main()"
_CHILD_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}
# What llama.cpp calls these vocabularies' pre-tokenizers: each digit alone, then GPT-2's pattern.
_DIGIT_BY_DIGIT = {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}


def convert_gguf(source: Path, folder: Path) -> dict[str, str]:
    """Write the model in `source` to `folder` as bf16 safetensors, with tokenizer and chat template.

    :param source: the `.gguf` file.
    :param folder: an existing folder; its files of the same names are overwritten.
    :return: the versions of the packages that converted it.
    :raises WeightsError: when the packages are not installed, or the file cannot be converted.
    """
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-P", "-c", _CHILD, str(root), str(source), str(folder)]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module, no shell
            command,
            env={**os.environ, **_CHILD_ENVIRONMENT},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise WeightsError(f"{source.name}: not converted within {_TIMEOUT_S} s") from None
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise WeightsError(f"{source.name}: cannot be converted (needs pinnace[local]): {last[0]}")
    return {package: version(package) for package in ("gguf", "torch", "transformers")}


def main() -> None:
    """The child process: `source` and `folder` are its arguments."""
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    transformers: Any = importlib.import_module("transformers")
    model = _load_model(transformers, source)
    tokenizer = _load_tokenizer(transformers, source)
    tokenizer.model_max_length = model.config.max_position_embeddings
    tokenizer.init_kwargs.pop("local_files_only", None)  # how we loaded it is no business of later loaders
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)  # safetensors writes them for the owner alone; a cache may be shared


def _load_model(transformers: Any, source: Path) -> Any:
    torch: Any = importlib.import_module("torch")
    return transformers.AutoModelForCausalLM.from_pretrained(
        source.parent,
        gguf_file=source.name,
        quantization_config=transformers.GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    )


def _load_tokenizer(transformers: Any, source: Path) -> Any:
    tokenizer = transformers.AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    if _pre_tokenizer(source) in _DIGIT_BY_DIGIT:
        _split_digits(tokenizer)
    return tokenizer


def _pre_tokenizer(source: Path) -> str | None:
    gguf: Any = importlib.import_module("gguf")
    field = gguf.GGUFReader(source).get_field("tokenizer.ggml.pre")
    return None if field is None else str(field.contents())


def _split_digits(tokenizer: Any) -> None:
    # transformers 5.19 knows the pre-tokenizers of llama, qwen and others, but leaves these at plain GPT-2.
    # White space before a digit then falls apart: two newlines and "1" become three tokens instead of two.
    pre: Any = importlib.import_module("tokenizers.pre_tokenizers")
    steps = [pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False, use_regex=True)]
    tokenizer.backend_tokenizer.pre_tokenizer = pre.Sequence(steps)
