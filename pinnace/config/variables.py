"""`${NAME}` in strings, taken from the environment. Knows no key, and quotes no value."""

import re
from collections.abc import Mapping
from typing import Any, cast

from pinnace.errors import ConfigError

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def substitute(value: Any, environ: Mapping[str, str], where: str) -> Any:
    """`value` with every `${NAME}` in its strings replaced, once.

    :param where: how complaints name the place of `value`.
    :raises ConfigError: when a variable is not set, or its name is none.
    """
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _variable(match.group(1), environ, where), value)
    if isinstance(value, dict):
        items = cast(dict[Any, Any], value).items()
        return {key: substitute(item, environ, f"{where}.{key}") for key, item in items}
    if isinstance(value, list):
        return [substitute(item, environ, f"{where}.{i}") for i, item in enumerate(cast(list[Any], value))]
    return value


def _variable(name: str, environ: Mapping[str, str], where: str) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{where}: expected ${{NAME}} with the name of an environment variable")
    value = environ.get(name)
    if not value:
        raise ConfigError(f"{where}: the environment variable {name} is not set")
    return value
