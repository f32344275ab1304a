"""One short line of whatever a text or an error is: what is quoted of models and of other people's code."""

from contextlib import suppress
from typing import cast

_SHORT = 300


def short_line(text: str, most: int = _SHORT) -> str:
    """`text` as one line of about `most` characters at most, all of them such as UTF-8 has."""
    line = " ".join(text[: most * 8].encode(errors="replace").decode().split())
    return line if len(line) <= most else f"{line[:most]}…"


def error_line(error: BaseException) -> str:
    """An error's type and what it says, as far as it can say anything."""
    said = ""
    with suppress(Exception):  # its own __str__ may raise
        said = short_line(str(error))
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def first_error(error: BaseException) -> BaseException:
    """What went wrong first, where several did at once."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error
