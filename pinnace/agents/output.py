"""What a step gives back: from a Python type to what the model is held to, and from its text to a value.

`str` is any text, and an enum or `Literal` of texts one of these, as bare text: so specialists that answer in
labels can give it. Everything else is JSON of the type's schema; a type whose schema is no object is wrapped
in one, since not every server takes another root. Knows no model and no wire.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from pinnace.agents.closed_schema import closed, needs_all
from pinnace.errors import StepError
from pinnace.models.short_line import error_line, short_line
from pinnace.models.tool_turns import MOST_CHOICES, is_choice

T = TypeVar("T")
KEY = "answer"
"""The one property of the object that wraps what is none."""


class UnreadableError(ValueError):
    """An answer is not of the type; says why in one line."""


@dataclass(frozen=True)  # slots would break Name[type](...) on Python 3.11
class Output(Generic[T]):
    """One type, ready to be asked for. `is_wrapped` as the module says.

    `schema` is None for text, which is one of `choices` where there are any.
    """

    type: type[T]
    schema: Mapping[str, Any] | None
    is_wrapped: bool
    _adapter: TypeAdapter[T]
    choices: tuple[str, ...] = ()

    @property
    def is_free(self) -> bool:
        """Whether any text is an answer."""
        return self.schema is None and not self.choices

    def response_format(self) -> Mapping[str, Any] | None:
        """OpenAI's `response_format`, or Pinnace's `choice`; None where any text is an answer."""
        if self.choices:
            return {"type": "choice", "choices": list(self.choices)}
        if self.schema is None:
            return None
        inner = {"name": KEY, "schema": self.schema, "strict": needs_all(self.schema)}
        return {"type": "json_schema", "json_schema": inner}

    def read(self, text: str) -> T:
        """The value that `text` is.

        :raises UnreadableError: when it is none.
        """
        if self.choices:
            return self._chosen(text.strip())
        if self.schema is None:
            return cast(T, text)
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UnreadableError(f"expected JSON, got {short_line(text)!r} ({error})") from None
        if self.is_wrapped:
            if not (isinstance(value, dict) and KEY in value):
                raise UnreadableError(f"expected an object with {KEY!r}, got {short_line(text)!r}")
            value = cast(dict[str, Any], value)[KEY]
        return self._validated(value)

    def _chosen(self, text: str) -> T:
        if text not in self.choices:
            expected = short_line(", ".join(map(repr, self.choices)))
            raise UnreadableError(f"expected one of {expected}, got {short_line(text)!r}")
        return self._validated(text)

    def _validated(self, value: object) -> T:
        try:
            return self._adapter.validate_json(json.dumps(value, allow_nan=False))
        except ValidationError as error:
            raise UnreadableError(one_line(error)) from None
        except ValueError:
            raise UnreadableError(f"expected numbers that JSON has, got {short_line(repr(value))}") from None


def output_of(kind: type[T], step: str) -> Output[T]:
    """The output of the step named `step`.

    :raises StepError: when the type has no JSON schema; says what to change.
    """
    if kind is str:
        return Output(kind, None, is_wrapped=False, _adapter=TypeAdapter(kind))
    try:
        adapter = TypeAdapter(kind)
        schema = adapter.json_schema()
    except Exception as error:  # a type's own hooks may raise what they like
        raise StepError(
            f"step {step!r}: output {_name(kind)} has no JSON schema ({error_line(error)}): "
            "use a pydantic model, a dataclass, an enum, or a type of these, numbers, texts, lists and dicts"
        ) from error
    if choices := _choices(schema):
        found = Output(kind, None, is_wrapped=False, _adapter=adapter, choices=choices)
        _check_reads(found, step)
        return found
    if fault := _fault(schema):
        raise StepError(
            f"step {step!r}: output {_name(kind)} {fault}: no model can be held to that; say what it is"
        )
    is_wrapped = schema.get("type") != "object"
    if is_wrapped:
        definitions = {"$defs": schema.pop("$defs")} if "$defs" in schema else {}
        schema = {
            "type": "object",
            "properties": {KEY: schema},
            "required": [KEY],
            **definitions,
        }
    return Output(kind, closed(schema), is_wrapped, adapter)


def one_line(error: ValidationError) -> str:
    """What is wrong and where, bounded."""
    faults = (
        f"{'.'.join(map(str, fault['loc'])) or 'the answer'}: {fault['msg']}" for fault in error.errors()
    )
    return short_line("; ".join(faults))


def _choices(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The texts of which a value is one; none where it is not one of a few short texts on a line each."""
    values: list[Any] = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    is_few = 0 < len(values) <= MOST_CHOICES
    return tuple(dict.fromkeys(values)) if is_few and all(map(is_choice, values)) else ()


def _check_reads(output: Output[Any], step: str) -> None:
    """Refuse a type that is none of its own texts, as a `Literal` of an enum's members is.

    :raises StepError: says what to change.
    """
    try:
        output.read(output.choices[0])
    except UnreadableError as error:
        raise StepError(
            f"step {step!r}: output {_name(output.type)} does not read {output.choices[0]!r}, which it lists "
            f"({error}): use an enum of texts, or a `Literal` of them"
        ) from None


def _fault(schema: Mapping[str, Any]) -> str | None:
    """Why no answer can be held to it: it, or a property that is required, is anything at all, or nothing."""
    if not schema:
        return "allows anything"
    if schema.get("enum") == []:
        return "allows nothing"
    properties: Mapping[str, Any] = schema.get("properties") or {}
    for name, inner in properties.items():
        if name in schema.get("required", ()) and not set(inner) - {"title", "description"}:
            return f"leaves {name!r} open"
    return None


def _name(kind: object) -> str:
    return getattr(kind, "__name__", None) or short_line(repr(kind))
