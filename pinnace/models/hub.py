"""Weights out of a Hugging Face repository, at one commit; safetensors and text files only.

Knows nothing of the cache it fills.
"""

import importlib
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pinnace.errors import WeightsError
from pinnace.models.cache import Manifest
from pinnace.models.model_folder import MODEL_FILES, check_model_folder, license_of
from pinnace.models.sources import HubSource

_OTHER_FORMATS = ("onnx/*", "openvino/*", "original/*")
_REACH_S = 10.0
_log = logging.getLogger(__name__)


def is_hub_offline() -> bool:
    """Whether `HF_HUB_OFFLINE` is set, read the way huggingface_hub reads it."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def fill_from_hub(
    source: HubSource, folder: Path, scratch: Path, check: Callable[[Path], None] = check_model_folder
) -> Manifest:
    """Download the repository's weights, configuration and tokenizer into `folder`.

    :param check: raises `WeightsError` where that is not what was expected there.
    :raises WeightsError: when huggingface_hub is not installed, the hub does not give them, or they are not
        safetensors.
    """
    _log.info("Downloading %s", source.repo)  # the hub's client draws its own bars on a terminal
    _download(source, folder)
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # and leaves notes on the download
    check(folder)
    licenses = (path.name for pattern in ("LICENSE*", "NOTICE*") for path in folder.glob(pattern))
    return Manifest(
        source=f"hf:{source.repo}@{source.revision}",
        license=license_of(folder),
        license_files=tuple(sorted(licenses)),
    )


def _download(source: HubSource, folder: Path) -> None:
    try:
        hub: Any = importlib.import_module("huggingface_hub")
        errors: Any = importlib.import_module("huggingface_hub.errors")
    except ImportError as error:
        raise WeightsError(f"needs pinnace[local]: {error}") from error
    try:
        # one look without the client's retries, which take 20 s to find that there is no network
        hub.get_session().head(hub.constants.ENDPOINT, timeout=_REACH_S)
        hub.snapshot_download(
            source.repo,
            revision=source.revision,
            local_dir=folder,
            allow_patterns=list(MODEL_FILES),
            ignore_patterns=list(_OTHER_FORMATS),
        )
    except (errors.HTTPError, OSError, ValueError) as error:
        said = str(error).strip() or type(error).__name__
        raise WeightsError(f"the hub does not give it: {said.splitlines()[0]}") from error
