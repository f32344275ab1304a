"""Keys of printed JSON, and the keys that the documentation has a table of."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1] / "docs" / "routing.md"
Keys = tuple[str, ...]


def printed(found: Any, above: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """The way to every leaf of a printed object; entries of a list share theirs."""
    if isinstance(found, dict) and found:
        for key, value in found.items():
            yield from printed(value, (*above, key))
    elif isinstance(found, list) and any(isinstance(each, dict) for each in found):
        for each in found:
            yield from printed(each, above)
    else:
        yield above, found


def documented(command: str) -> list[Keys]:
    """The keys in the first column of the table under this command's heading, braces written out."""
    text = DOCS.read_text(encoding="utf-8")
    _, _, rest = text.partition(f"### `{command} --json`\n")
    assert rest, f"no heading for {command}"
    table = rest.partition("\n#")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    keys = [key for cell in cells for key in re.findall(r"`([^`]+)`", cell)]
    return [tuple(each.split(".")) for key in keys for each in spelled(key)]


def spelled(key: str) -> list[str]:
    """`a.{b,c}` as `a.b` and `a.c`."""
    before, brace, rest = key.partition("{")
    if not brace:
        return [key]
    inside, _, after = rest.partition("}")
    return [whole for part in inside.split(",") for whole in spelled(f"{before}{part}{after}")]


def is_meant(way: Keys, key: Keys) -> bool:
    """Whether a documented key, in which `<name>` stands for anything, is this way."""
    return len(way) == len(key) and all(
        re.fullmatch(re.sub("<[^>]*>", ".+", re.escape(b)), a) for a, b in zip(way, key, strict=True)
    )


def differences(command: str, *outputs: Any) -> list[str]:
    """What is printed and not documented, and what is documented and printed by none of `outputs`."""
    keys = documented(command)
    ways = dict(pair for found in outputs for pair in printed(found))
    unmeant = [
        way
        for way, value in ways.items()
        if not any(is_meant(way, key) for key in keys)
        and not (value in (None, {}, []) and any(is_meant(way, key[: len(way)]) for key in keys))
    ]
    unseen = [key for key in keys if not any(is_meant(way, key) for way in ways)]
    return [f"not documented: {'.'.join(w)}" for w in unmeant] + [
        f"not printed: {'.'.join(k)}" for k in unseen
    ]
