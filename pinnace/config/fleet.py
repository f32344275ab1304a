"""The fleet: what every member has, and what each backend needs beside it."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from pinnace.config.section import Secret, Section

_ADDRESS = re.compile(r"https?://([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[!-~]*)?")


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
