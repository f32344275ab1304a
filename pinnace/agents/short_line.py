"""Whatever a text is, one short line of it: what errors quote of models and of other people's code."""

_SHORT = 300


def short_line(text: str, most: int = _SHORT) -> str:
    """`text` as one line of about `most` characters at most, all of them such as UTF-8 has."""
    line = " ".join(text[: most * 8].encode(errors="replace").decode().split())
    return line if len(line) <= most else f"{line[:most]}…"
