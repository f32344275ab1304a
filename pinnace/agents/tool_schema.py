"""From a function to what a model is told of it: a name, a description, the JSON schema of its arguments.

The function's own name, type hints and docstring are all that is read. Knows nothing of how a tool runs, of
models, or of who may call what.
"""

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import SchemaError

from pinnace.agents.closed_schema import closed
from pinnace.errors import StepError
from pinnace.models.short_line import short_line

LONGEST_DESCRIPTION = 1024
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_FIELD = re.compile(r":param\s+(?:[^:]*\s)?(\w+)\s*:(.*)")
_SECTION = re.compile(r"(Args|Arguments|Parameters):\s*")
_ITEM = re.compile(r"(\w+)\s*(?:\(.*?\))?\s*:(.*)")
_END_OF_DESCRIPTION = re.compile(
    r"\s*$|:(param|type|returns?|rtype|raises?)\b|(Args|Arguments|Parameters|Returns|Raises):\s*$"
)
_REFUSED_KINDS = {
    inspect.Parameter.VAR_POSITIONAL: "expected parameters with names, got *{0}: take one list",
    inspect.Parameter.VAR_KEYWORD: "expected parameters with names, got **{0}: take one dict",
    inspect.Parameter.POSITIONAL_ONLY: "expected one that can be given by name: remove the `/` behind it",
}
_IMPOSSIBLE = (PydanticUserError, SchemaError, TypeError, ValueError, NameError, AttributeError)


@dataclass(frozen=True, slots=True)
class ToolSchema:
    """A function as a model sees it; `parameters` is the JSON schema of its arguments, an object's."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    model: type[BaseModel]
    names: Mapping[str, str]
    """From the model's fields to the function's parameters: not every parameter's name may be a field's."""

    def read(self, arguments: str) -> dict[str, Any]:
        """The keyword arguments that `arguments` (JSON) stands for, defaults among them.

        :raises ValidationError: when they are not what the function takes.
        """
        given = self.model.model_validate_json(arguments.encode("utf-8", "surrogatepass"), strict=True)
        return {parameter: getattr(given, field) for field, parameter in self.names.items()}


def schema_of(function: Callable[..., object], name: str | None = None) -> ToolSchema:
    """What a model is told of `function`.

    :param name: in place of the function's own.
    :raises StepError: when the function cannot be a tool as it stands; says what to change.
    """
    name = _name_of(function, name)
    lines = (inspect.getdoc(function) or "").splitlines()
    description = _description(lines, name)
    parameters = _parameters_of(function, name)
    hints = _hints_of(function, parameters, name)
    told = _told_of(lines, parameters, name)
    fields: dict[str, tuple[Any, Any]] = {}
    for each in parameters:
        hint = _described(hints.get(each.name, each.annotation), told.get(each.name))
        fields[each.name] = (hint, ... if each.default is each.empty else each.default)
        _check_field(each, fields[each.name], name)
    model, names = _model_of(fields, name)
    schema = _json_schema_of(model)
    for each, inner in schema["properties"].items():
        _check_length(inner.get("description", ""), name, each)
    return ToolSchema(name, description, schema, model, names)


def _wrong(name: str, message: str, parameter: str | None = None) -> StepError:
    place = f"tool {name!r}" if parameter is None else f"tool {name!r}, parameter {parameter!r}"
    return StepError(f"{place}: {message}")


def _name_of(function: object, other: str | None) -> str:
    own = getattr(function, "__name__", None)
    is_named = callable(function) and not isinstance(function, type) and isinstance(own, str)
    if not is_named or own == "<lambda>":
        got = short_line(repr(function))
        raise StepError(f"expected a tool to be a function with a name, got {got}: write it with `def`")
    name = str(own) if other is None else other
    if not _NAME.fullmatch(name):
        expected = "a name of 1 to 64 letters, digits and underscores (ASCII) that begins with no digit"
        raise StepError(f"tool {name!r:.80}: expected {expected}: give it another, with `@tool(name=...)`")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise _wrong(name, "expected a function that returns, got one that yields: return a list")
    return name


def _description(lines: Sequence[str], name: str) -> str:
    first = takewhile(lambda line: not _END_OF_DESCRIPTION.match(line), lines)
    description = " ".join(" ".join(first).split())
    if not description:
        raise _wrong(name, "expected a docstring that begins with what it does, got none: write one")
    _check_length(description, name)
    return description


def _check_length(description: str, name: str, parameter: str | None = None) -> None:
    if len(description) > LONGEST_DESCRIPTION:
        told = f"expected a description of at most {LONGEST_DESCRIPTION} characters, got {len(description)}"
        raise _wrong(name, f"{told}: shorten it", parameter)


def _parameters_of(function: Callable[..., object], name: str) -> tuple[inspect.Parameter, ...]:
    try:
        parameters = tuple(inspect.signature(function).parameters.values())
    except (ValueError, TypeError, NameError) as error:
        raise _wrong(name, f"its signature cannot be read ({error}): wrap it in a `def`") from error
    for each in parameters:
        if each.kind in _REFUSED_KINDS:
            raise _wrong(name, _REFUSED_KINDS[each.kind].format(each.name), each.name)
        if each.annotation is each.empty:
            raise _wrong(name, f"expected an annotation, got none: write `{each.name}: str`, say", each.name)
    return parameters


def _hints_of(
    function: Callable[..., object], parameters: Sequence[inspect.Parameter], name: str
) -> Mapping[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, AttributeError, SyntaxError, TypeError) as error:
        missing = str(getattr(error, "name", None) or error)
        where = next((each.name for each in parameters if missing in str(each.annotation)), None)
        told = f"expected annotations that can be resolved, got {short_line(str(error))!r}"
        change = "import or define it at the top of the module, not within a function or under TYPE_CHECKING"
        raise _wrong(name, f"{told}: {change}", where) from error


def _told_of(lines: Sequence[str], parameters: Sequence[inspect.Parameter], name: str) -> Mapping[str, str]:
    """What the docstring says of each parameter, in `:param name: text` or under `Args:`."""
    start = next((at for at, line in enumerate(lines, 1) if _SECTION.fullmatch(line)), len(lines))
    section = takewhile(lambda line: not line or line[0].isspace(), lines[start:])
    items = textwrap.dedent("\n".join(section)).splitlines()
    told = {**_entries(items, _ITEM), **_entries([line.strip() for line in lines], _FIELD)}
    known = [each.name for each in parameters]
    if unknown := [each for each in told if each not in known]:
        raise _wrong(name, f"expected a docstring of {known}, its parameters, got {unknown}: rename these")
    return told


def _entries(lines: Sequence[str], entry: re.Pattern[str]) -> dict[str, str]:
    """What follows each name; an entry goes on until a blank line or a field."""
    found: dict[str, str] = {}
    now = ""
    for line in lines:
        if match := entry.match(line):
            now = match[1]
            found[now] = match[2].strip()
        elif now and line.strip() and not line.startswith(":"):
            found[now] = f"{found[now]} {line.strip()}".strip()
        else:
            now = ""
    return found


def _described(hint: Any, text: str | None) -> Any:
    """`hint` with `text` as its description, unless it has one of its own."""
    has_own = any(isinstance(note, FieldInfo) and note.description for note in _notes(hint))
    return Annotated[hint, Field(description=text)] if text and not has_own else hint


def _aliased(hint: Any, parameter: str) -> Any:
    """`hint` with the parameter's name on the wire, unless it has one of its own."""
    has_own = any(isinstance(note, FieldInfo) and note.alias for note in _notes(hint))
    return hint if has_own else Annotated[hint, Field(alias=parameter)]


def _notes(hint: Any) -> tuple[object, ...]:
    return get_args(hint)[1:] if get_origin(hint) is Annotated else ()


def _check_field(parameter: inspect.Parameter, field: tuple[Any, Any], name: str) -> None:
    """Refuse a parameter of which pydantic makes no schema, or whose default None its annotation denies."""
    got = short_line(inspect.formatannotation(parameter.annotation))
    try:
        _json_schema_of(_model_of({parameter.name: field}, name)[0])
    except _IMPOSSIBLE as error:
        told = f"expected a type that JSON can carry, got {got} ({short_line(str(error))})"
        change = "use str, int, float, bool, a list, dict, Literal or Enum, or a pydantic model of these"
        raise _wrong(name, f"{told}: {change}", parameter.name) from error
    if parameter.default is None and not _takes_none(field[0]):
        raise _wrong(name, f"its default is None, its annotation {got}: write `{got} | None`", parameter.name)


def _takes_none(hint: Any) -> bool:
    kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    try:
        TypeAdapter[Any](kind).validate_python(None)
    except ValidationError:
        return False
    return True


def _model_of(fields: Mapping[str, tuple[Any, Any]], name: str) -> tuple[type[BaseModel], Mapping[str, str]]:
    """The model of an object with `fields`, and the parameters that its own fields stand for.

    pydantic takes no field that begins with an underscore, and `schema` or `copy` would hide its own methods:
    so fields are numbered, and the parameters' names are their aliases: each by itself, as a generator of
    aliases would hold for the dataclasses within as well.
    """
    names = {f"field_{at}": parameter for at, parameter in enumerate(fields)}
    config = ConfigDict(extra="forbid", allow_inf_nan=False)
    definitions: dict[str, Any] = {
        field: (_aliased(hint, parameter), default)
        for (field, parameter), (hint, default) in zip(names.items(), fields.values(), strict=True)
    }
    return create_model(name, __config__=config, **definitions), names


class _Silent(GenerateJsonSchema):
    """Leaves out a default that JSON has not, without a warning."""

    def emit_warning(self, kind: object, detail: str) -> None:
        pass


def _json_schema_of(model: type[BaseModel]) -> dict[str, Any]:
    return closed(model.model_json_schema(schema_generator=_Silent))
