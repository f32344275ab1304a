"""Code as an answer: what of a text is the code, and the program that tests it. Pure; runs nothing."""

import json
import re
from typing import Any

_FENCED = re.compile(r"```[ \t]*(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)


def program_of(answer: str, expected: str) -> str:
    """The program that fails where the code in `answer` does not what it should.

    :param expected: JSON of `before` (code that stands before the answer, such as its imports and the head
        of the function), `name` (the function, or "" where the answer is no continuation) and `tests`.
    """
    gold: dict[str, Any] = json.loads(expected)
    code = code_in(answer)
    if gold["name"] and not re.search(rf"^(?:async )?def {re.escape(gold['name'])}\b", code, re.MULTILINE):
        code = continuation_in(answer)
    return f"{gold['before']}\n{code}\n\n{gold['tests']}\n"


def code_in(answer: str) -> str:
    """All fenced blocks of Python, one after the other; the whole text where there are none."""
    blocks: list[str] = _FENCED.findall(answer)
    return "\n".join(blocks) if blocks else answer


def continuation_in(answer: str) -> str:
    """The body of a function that the answer goes on with: up to the first line that is not indented."""
    lines: list[str] = []
    for line in code_in(answer).split("\n"):
        if line.strip() and not line.startswith((" ", "\t")):
            if lines:
                break
            line = f"    {line}"
        lines.append(line)
    return "\n".join(lines)
