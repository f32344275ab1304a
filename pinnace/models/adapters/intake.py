"""From an adapter's source in `router.yaml` to a checked folder that nobody changes any more.

An engine may read an adapter again long after it was added, so it is copied into the cache under the name of
its content, and only such a copy is served. What lies at the source may be replaced at any time.
"""

import hashlib
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pinnace.errors import WeightsError
from pinnace.models.adapters.check import CONFIG, WEIGHTS, check_adapter
from pinnace.models.cache import Manifest, is_ready, make_once
from pinnace.models.hub import fill_from_hub, is_hub_offline
from pinnace.models.sources import HubSource, PathSource, parse_source


@dataclass(frozen=True, slots=True)
class Adapter:
    """A checked adapter: `folder` holds its copy, and `digest` is the SHA-256 of its files."""

    folder: Path
    digest: str
    rank: int


def take_in(source: str, *, base: Path, max_rank: int, cache: Path) -> Adapter:
    """The adapter at `source`, checked against its base and copied.

    :param source: a folder, or `hf:ORG/NAME@REVISION`; see `pinnace.models.sources`.
    :param base: the folder of the base's weights.
    :param max_rank: the highest rank that the base's engine is started for.
    :raises WeightsError: when it cannot be had, or the base cannot serve it.
    """
    found = source_folder(source, cache)
    check_adapter(found, base, max_rank)
    digest = digest_of(found)
    copy = make_once(cache / "adapters" / digest[:24], partial(_copy, source, found))
    rank = check_adapter(copy, base, max_rank)  # what is served, should the source have changed meanwhile
    return Adapter(copy, digest_of(copy), rank)


def source_folder(source: str, cache: Path) -> Path:
    """Where the adapter lies, fetched where it has to be.

    :raises WeightsError: when it cannot be had.
    """
    match parse_source(source):
        case PathSource(folder):
            return folder
        case HubSource(repo, revision) as hub:
            slot = cache / "hub" / f"{repo.replace('/', '--')}-{revision[:12]}"
            if is_hub_offline() and not is_ready(slot / "model"):
                raise WeightsError(
                    f"{source}: the hub is switched off (HF_HUB_OFFLINE), and it is not cached"
                )
            return make_once(slot, partial(fill_from_hub, hub, check=_check_present))
        case _:
            raise WeightsError(f"{source}: expected an adapter in a folder or at hf:ORG/NAME@REVISION")


def digest_of(folder: Path) -> str:
    """The SHA-256 of an adapter's files; raises WeightsError where one cannot be read."""
    digest = hashlib.sha256()
    try:
        for name in (CONFIG, WEIGHTS):
            content = (folder / name).read_bytes()
            digest.update(len(content).to_bytes(8, "little") + content)
    except OSError as error:
        raise WeightsError(f"{folder}: {error.strerror}") from error
    return digest.hexdigest()


def _check_present(folder: Path) -> None:
    if not (folder / CONFIG).is_file() or not (folder / WEIGHTS).is_file():
        raise WeightsError(f"expected {CONFIG} and {WEIGHTS} in the repository")


def _copy(source: str, found: Path, folder: Path, scratch: Path) -> Manifest:
    for name in (CONFIG, WEIGHTS):
        shutil.copyfile(found / name, folder / name)
    return Manifest(source=source)
