"""A suite as a file: the one pydantic model of it. Knows its keys, and nothing of rows.

YAML; unknown keys are refused with the nearest known one. docs/evaluation.md says what each key means.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator
from pydantic import Field as Key

from pinnace.config.document import read_document
from pinnace.errors import ConfigError
from pinnace.eval.asking import MOST_SHOTS
from pinnace.eval.scoring import RuleName

Form = Literal["jsonl", "json", "pairs", "lines", "bfcl"]
Tidy = Literal["capital", "spaced", "untokenised"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Field(_Strict):
    """Where a row has a value: `source` is a key, or keys with dots between, or a place in a list.

    Of the text there, `match` keeps the first group of a regular expression, `separator` makes a list of it,
    `map` puts other words for it, and `tidy` mends how it is written. `default` stands where there is none.
    """

    source: str = Key(alias="from", min_length=1)
    match: str | None = None
    separator: str | None = Key(default=None, alias="split")
    map: Mapping[str, str] | None = None
    tidy: Tidy | None = Key(default=None, alias="as")
    default: str | None = None

    @model_validator(mode="after")
    def _is_pattern(self) -> "Field":
        for pattern in (self.match, self.separator):
            try:
                compiled = re.compile(pattern or "()")
            except re.error as error:
                raise ValueError(f"expected a regular expression, got {pattern!r}: {error}") from None
            if pattern == self.match and compiled.groups < 1:
                raise ValueError(f"match: expected a group in parentheses, got {pattern!r}")
        return self


def _field(value: Any) -> Any:
    return {"from": value} if isinstance(value, str) else value


AnyField = Annotated[Field, BeforeValidator(_field)]


def at(source: str) -> Field:
    """The field that is the value at `source` as it stands."""
    return Field.model_validate({"from": source})


class Origin(_Strict):
    """Rows of one file, or `made` by the package; `name` is what ids call it.

    `split` is `fit` (training and validation rows), `held`, or `halves`: by a hash of the question. `where`
    keeps rows whose number under a key lies in a range. `fields` are laid over those of the suite.
    """

    name: str = Key(pattern=r"^[a-z0-9_]+$")
    split: Literal["fit", "held", "halves"]
    file: str = ""
    made: Literal["arithmetic", "basic_facts"] | None = None
    form: Form = "jsonl"
    key: str = ""
    gold: str = ""
    encoding: Literal["utf-8", "latin-1"] = "utf-8"
    where: Mapping[str, tuple[int, int]] = {}
    fields: Mapping[str, AnyField] = {}
    out_of_scope: bool = False

    @model_validator(mode="after")
    def _has_rows(self) -> "Origin":
        if bool(self.file) == (self.made is not None):
            raise ValueError("expected either 'file' or 'made'")
        if self.form == "pairs" and not self.key:
            raise ValueError("expected 'key', where the pairs are in the file")
        return self


class Code(_Strict):
    """The program around an answer's code, as templates; see `pinnace.eval.rules.code.program_of`."""

    before: str = ""
    name: str = ""
    tests: str


class SuiteFile(_Strict):
    """A task set as prompts. `prompt`, `shot` and those of `code` are templates over fields: `{question}`."""

    about: str = ""
    licence: str = ""
    rule: RuleName
    max_tokens: int = Key(ge=1, le=8192)
    prompt: str = Key(default="{text}", min_length=1)
    system: str = ""
    intro: str = ""
    labels: tuple[str, ...] = ()
    shots: int = Key(default=0, ge=0, le=MOST_SHOTS)
    shot: str = Key(default="{expected}", min_length=1)
    fields: Mapping[str, AnyField] = {}
    rows: tuple[Origin, ...] = Key(min_length=1)
    tools: str | tuple[Mapping[str, Any], ...] = ()
    tool_choice: Literal["auto", "required"] | None = None
    parallel_tool_calls: bool = True
    json_schema: str | Mapping[str, Any] | None = None
    code: Code | None = None
    as_open: bool = False

    @model_validator(mode="after")
    def _has_what_its_rule_needs(self) -> "SuiteFile":
        for rule, key in (("label", "labels"), ("calls", "tools"), ("code", "code")):
            if self.rule == rule and not getattr(self, key):
                raise ValueError(f"the rule {rule!r} needs the key {key!r}")
        names = [origin.name for origin in self.rows]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"rows: every name must differ, got {doubled!r} more than once")
        return self


def parse_suite(path: Path) -> SuiteFile:
    """Read a suite file.

    :raises ConfigError: when it is not there, is not YAML, or has a wrong or unknown key.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such suite file")
    found = read_document(path)
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: expected a mapping with the key 'rows', got {type(found).__name__}")
    try:
        return SuiteFile.model_validate(found)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise ConfigError(f"{path}: {'; '.join(map(_explained, details))}") from None


def _explained(detail: Any) -> str:
    where = ".".join(
        str(part) for part in detail["loc"] if part not in ("tuple[Mapping[str,any],...]", "str")
    )
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(detail["loc"][-1]), _known_keys(detail["loc"]), n=1)
        return f"{where}: unknown key" + (f"; did you mean {near[0]!r}?" if near else "")
    said = detail["msg"].removeprefix("Value error, ")
    got = detail["input"]
    told = f", got {repr(got)[:80]}" if isinstance(got, str | int | float | None) else ""
    return f"{where}: {said}{told}" if where else f"{said}{told}"


def _known_keys(location: Sequence[Any]) -> list[str]:
    """The keys of the section that holds a key."""
    above = location[:-1]
    inner: Mapping[str, type[_Strict]] = {"fields": Field, "code": Code, "rows": Origin}
    section = next((each for name, each in inner.items() if name in above), SuiteFile)
    return [each.alias or name for name, each in section.model_fields.items()]
