"""Wheels of a few hundred bytes for the tests of `pinnace.models`: real zip files with dummy weights."""

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

METADATA = "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\nLicense: Apache-2.0\n"
MODEL = {
    "tiny_model/__init__.py": "raise SystemExit('nothing of a wheel may run')",
    "tiny_model/model/config.json": "{}",
    "tiny_model/model/model.safetensors": "weights",
    "tiny_model/model/1_Pooling/config.json": "{}",
    "tiny_model/model/pytorch_model.bin": "a pickle",
    "tiny_model/model/modeling.py": "code",
}
DIST_INFO = {
    "tiny_model-1.0.dist-info/METADATA": METADATA,
    "tiny_model-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "tiny_model-1.0.dist-info/RECORD": "",
    "tiny_model-1.0.dist-info/licenses/LICENSE": "the licence",
}


def make_wheel(folder: Path, files: Mapping[str, str] = MODEL) -> tuple[Path, str]:
    """A wheel `tiny-model` 1.0 in `folder`, holding `files`; and its SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in {**files, **DIST_INFO}.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return wheel, hashlib.sha256(wheel.read_bytes()).hexdigest()
