"""The fleet: what every member has, and what each backend needs beside it."""

import re
from typing import Literal

from pydantic import Field, field_validator

from pinnace.config.section import Secret, Section
from pinnace.config.seeing import Energy

_ADDRESS = re.compile(r"https?://([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[!-~]*)?")


class Price(Section):
    """USD per million tokens; own hardware has a price too."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)


class Sampling(Section):
    """What a model samples with when the request does not say."""

    temperature: float = Field(default=1.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)


class Votes(Section):
    """So many samples are drawn, at this temperature, and what most of them say is the answer."""

    samples: int = Field(ge=2, le=64)
    temperature: float = Field(default=0.5, gt=0, le=2)


class Member(Section):
    """What every fleet member has, whatever runs it.

    `estimates` names the router state's column that describes this model, where that is not its own
    name: a fresh large model borrows those of a measured one until it has rows of its own. `max_running` and
    `max_tokens_in_flight` bound what this model has at once, of which `max_waiting` more may wait for it.
    A judged answer whose confidence is below `least_bar` is climbed past wherever a dearer model that is
    about as good can answer. `votes` is how an answer is found that is held to a form.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$")
    price: Price = Price(input=0, output=0)
    context_window: int | None = Field(default=None, gt=0)
    tools: bool = False
    json_schema: bool = False
    optional: bool = False
    sampling: Sampling = Sampling()
    votes: Votes | None = None
    max_running: int | None = Field(default=None, ge=1)
    max_waiting: int = Field(default=16, ge=0)
    max_tokens_in_flight: int | None = Field(default=None, ge=1)
    estimates: str | None = None
    energy: Energy | None = None
    least_bar: float = Field(default=0.0, ge=0, le=1)


class Engine(Section):
    """Settings of one in-process vLLM engine. `compiled` left at None compiles on a GPU only.

    `flat` lets small steps on CPU take the flat decoder (`pinnace.models.flat_decoder`), to the same bits.

    `max_adapters` is how many adapters it holds at once, None as many as the fleet has and some more, and
    `max_lora_rank` the highest rank that one may have.

    `first_token_s` and `stall_s` bound its waits as a remote backend's; None waits until the request's own
    deadline, since an engine that is busy with many requests is slow and not broken.
    """

    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    compiled: bool | None = None
    kv_cache_mib: int = Field(default=1024, ge=64)
    max_sequences: int = Field(default=64, ge=1, le=1024)
    flat: bool = True
    max_adapters: int | None = Field(default=None, ge=0, le=64)
    max_lora_rank: Literal[8, 16, 32, 64, 128] = 32
    first_token_s: float | None = Field(default=None, gt=0)
    stall_s: float | None = Field(default=None, gt=0)


class VllmMember(Member):
    """A local model in an in-process vLLM engine. The first of `weights` that can be had is taken.

    `system` is the system turn of requests that bring none.
    """

    backend: Literal["vllm"]
    system: str | None = Field(default=None, min_length=1, max_length=4096)
    weights: tuple[str, ...] = Field(min_length=1)
    tools: bool = True
    json_schema: bool = True
    engine: Engine = Engine()


class Timeouts(Section):
    """Seconds a remote backend may take: to connect, to the first token, and between two tokens."""

    connect_s: float = Field(default=5, gt=0)
    first_token_s: float = Field(default=30, gt=0)
    stall_s: float = Field(default=30, gt=0)


class Retries(Section):
    """Retries of one remote backend, all before its first token: `most` per request.

    Of all of a window they are at most `share` of its requests, or `floor` where that is more. The wait is
    random below a bound that doubles from `base_s` to `longest_s`, and what the server asks for by
    `Retry-After`, unless that is more than `longest_retry_after_s`: then it is not asked again.
    """

    most: int = Field(default=2, ge=0, le=10)
    share: float = Field(default=0.2, ge=0, le=1)
    floor: int = Field(default=3, ge=0)
    window_s: float = Field(default=10, gt=0)
    base_s: float = Field(default=0.25, ge=0)
    longest_s: float = Field(default=4, ge=0)
    longest_retry_after_s: float = Field(default=20, ge=0)


class Breaker(Section):
    """When a remote backend is left alone: `failures` among its last `votes` requests within `window_s`, and
    `ratio` of them all. It rests for `rest_s`, and twice as long each time that the probe after it fails."""

    failures: int = Field(default=5, ge=1)
    ratio: float = Field(default=0.5, gt=0, le=1)
    votes: int = Field(default=100, ge=1)
    window_s: float = Field(default=30, gt=0)
    rest_s: float = Field(default=5, gt=0)
    longest_rest_s: float = Field(default=60, gt=0)


class OpenAIMember(Member):
    """A model behind any OpenAI-compatible server.

    `connections` is how many it may have at once; `max_tokens_field` is what the server calls the cap on an
    answer, which is found out by itself where the server says that it does not know the one given.
    """

    backend: Literal["openai"]
    base_url: str
    api_key: Secret | None = None
    model: str
    timeouts: Timeouts = Timeouts()
    retries: Retries = Retries()
    breaker: Breaker = Breaker()
    connections: int = Field(default=256, ge=1, le=4096)
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    tools: bool = True
    json_schema: bool = True

    @field_validator("energy")
    @classmethod
    def _is_not_metered(cls, energy: Energy | None) -> Energy | None:
        """What this machine's meters say is nothing that a remote model takes."""
        if energy is not None and energy.meter is not None:
            raise ValueError("a meter measures this machine; expected input, output and source")
        return energy

    @field_validator("votes")
    @classmethod
    def _does_not_vote(cls, votes: Votes | None) -> Votes | None:
        """Not every server gives as many answers as it is asked for, and each is paid for."""
        if votes is not None:
            raise ValueError("expected votes of local members alone")
        return votes

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
