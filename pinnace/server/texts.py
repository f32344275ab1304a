"""One text or several in one field, of the endpoints that take either. Token ids are refused by name."""

from collections.abc import Callable
from typing import Annotated, cast

from pydantic import WithJsonSchema
from pydantic_core import PydanticCustomError

from pinnace.server.shapes import wrong


def several_texts(value: object, is_token_ids: Callable[[object], bool]) -> object:
    """One string or several, as a tuple of strings; `is_token_ids` knows what was sent in place of a text."""
    texts = cast(list[object], value) if isinstance(value, list) else [value]
    if texts and all(is_token_ids(text) for text in texts):
        raise PydanticCustomError("unsupported", "token ids are not supported, only text")
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise wrong("expected a string that is not empty, or a list of such strings")
    return tuple(texts)


_TEXT = {"type": "string", "minLength": 1}
Texts = Annotated[
    tuple[str, ...],
    WithJsonSchema({"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}),
]
"""The texts and the JSON schema of the field; `several_texts` stands before it, as each endpoint has it."""
