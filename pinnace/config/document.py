"""The YAML document: plain values from a file, or a complaint that quotes no line of it.

Aliases, keys that come twice and files past `MAX_BYTES` are refused. Knows no key.
"""

from collections.abc import Hashable
from pathlib import Path
from typing import Any, cast

import yaml

from pinnace.errors import ConfigError

MAX_BYTES = 1_000_000


class _Loader(yaml.SafeLoader):
    """Plain YAML: what it means can be read off the page, and it is never larger than the file."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = cast(Any, self).peek_event()
        if isinstance(event, yaml.AliasEvent):
            raise yaml.MarkedYAMLError(None, None, "aliases are not supported", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        found = super().construct_mapping(node, deep)
        if len(found) < len(node.value):
            raise yaml.MarkedYAMLError(None, None, "a key comes twice in this section", node.start_mark)
        return found


def read_document(path: Path) -> Any:
    """What the file holds.

    :raises ConfigError: when it is not there, cannot be read, is too large, or is not plain YAML.
    """
    try:
        with path.open("rb") as file:
            read = file.read(MAX_BYTES + 1)
        if len(read) > MAX_BYTES:
            raise ConfigError(f"{path}: expected at most {MAX_BYTES} bytes")
        return yaml.load(read.decode("utf-8"), _Loader)  # noqa: S506 - a safe loader
    except FileNotFoundError:
        raise ConfigError(f"no configuration at {str(path)!r}: give one with --config") from None
    except OSError as error:
        raise ConfigError(f"{path}: not readable: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise ConfigError(f"{path}: not readable as YAML: {_yaml_problem(error)}") from None


def _yaml_problem(error: Exception) -> str:
    """What is wrong and where, without the line itself: it can hold a key."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    if isinstance(error, UnicodeDecodeError):
        return "expected UTF-8"
    return "nested too deeply" if isinstance(error, RecursionError) else "a value is not what its form says"
