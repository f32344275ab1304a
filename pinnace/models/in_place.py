"""Swapping a folder that was written beside its place in for the one that is there."""

import os
import shutil
from pathlib import Path


def put_in_place(beside: Path, folder: Path) -> None:
    """Swap `beside` in for `folder`: the old one stays until the new one is whole."""
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    if folder.exists():
        folder.replace(old)
    beside.replace(folder)
    shutil.rmtree(old, ignore_errors=True)
