"""A mixed load: everything that the server is asked for, by people of every kind, at the same time.

Each flow is one kind of request; `judged` says how its answers are to be taken. Knows nothing of time.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from pinnace.bench.asker import LOST, Flow, Told
from pinnace.bench.prompts import varied_prompts
from pinnace.router.dispatch import AUTO

REMOTE = "remote"
PAUSE_S = 0.1
TOKENS = 32
LEAVES_S, LEAVES_AT_LEAST_S = 0.3, 0.29
"""When a client hangs up, and what its loop may round that to."""
PROMPTS = 48
"""Different texts in each flow of a slice."""
EMBEDDED = 300
"""Characters that an embedding model reads whole; longer texts it refuses."""
_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
_SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}
_FORMAT = {"type": "json_schema", "json_schema": {"name": "reply", "strict": True, "schema": _SCHEMA}}
_WRONG: Sequence[Mapping[str, Any]] = (
    {"model": AUTO},
    {"model": AUTO, "messages": []},
    {"model": AUTO, "messages": [{"role": "user", "content": "Hello"}], "temperature": 99},
    {"model": AUTO, "messages": [{"role": "user", "content": "Hello"}], "stop": ["x"] * 10_000},
)


class Verdict(StrEnum):
    """What an answer was, for who asked."""

    SERVED = "served"
    AS_EXPECTED = "as_expected"
    """Refused or left, as it should be."""
    INJECTED = "injected"
    """Failed where the remote model was made to fail, and was asked for by name."""
    ERROR = "error"


def mixed_flows(port: int, local: str, embedder: str, seconds: float, seed: int) -> Sequence[Flow]:
    """The flows of one slice of `seconds`, on texts drawn by `seed`.

    :param local: the local model's name.
    :param embedder: the router's embedding model's.
    """
    prompts = varied_prompts(PROMPTS, seed)

    def flow(name: str, bodies: Sequence[Mapping[str, Any]], askers: int = 1, **further: Any) -> Flow:
        return Flow(
            name,
            port,
            AUTO,
            askers=askers,
            pause_s=PAUSE_S,
            seconds=seconds,
            bodies=bodies,
            seed=seed,
            **further,
        )

    def chats(model: str, **further: object) -> list[Mapping[str, Any]]:
        return [
            {"model": model, "messages": [{"role": "user", "content": p}], "max_tokens": TOKENS, **further}
            for p in prompts
        ]

    streamed = {"stream": True, "stream_options": {"include_usage": True}}
    both = {"tools": [_TOOL], "response_format": _FORMAT, "max_tokens": 2 * TOKENS}
    texts = [{"model": local, "prompt": p, "max_tokens": TOKENS} for p in prompts]
    responses = [{"model": AUTO, "input": p, "max_output_tokens": TOKENS} for p in prompts]
    return (
        flow("whole", chats(AUTO)),
        flow("streamed", chats(AUTO, **streamed), askers=2, stream=True),
        flow("batch", chats(local, n=2), headers={"x-pinnace-priority": "batch"}),
        flow("tools", chats(local, **both)),
        flow("text", texts, path="/v1/completions"),
        flow("responses", responses, path="/v1/responses", sign='"output":['),
        flow(
            "embeddings",
            [{"model": embedder, "input": [p, p]} for p in prompts if len(p) <= EMBEDDED],
            path="/v1/embeddings",
            sign='"object":"list"',
        ),
        flow("remote", chats(REMOTE, **streamed), stream=True),
        flow("leaving", chats(local, **streamed), stream=True, leaves_after_s=LEAVES_S),
        flow("wrong", _WRONG),
    )


def judged(name: str, told: Told, *, is_faulty: bool) -> Verdict:
    """What one answer in the flow `name` was; `is_faulty` where the remote model was made to fail."""
    if name == "wrong":
        return Verdict.AS_EXPECTED if told.status == 400 else Verdict.ERROR
    if told.is_whole:
        return Verdict.SERVED
    if name == "leaving" and told.status == LOST and told.latency_s >= LEAVES_AT_LEAST_S:
        return Verdict.AS_EXPECTED
    if name == REMOTE and is_faulty and told.status in (502, 503):
        return Verdict.INJECTED
    return Verdict.ERROR


def counted(told: Mapping[str, Sequence[Told]], *, is_faulty: bool) -> Counter[Verdict]:
    """How many answers of a slice were what."""
    return Counter(
        judged(name, each, is_faulty=is_faulty) for name, each_told in told.items() for each in each_told
    )


def errors_in(told: Mapping[str, Sequence[Told]], *, is_faulty: bool) -> Counter[str]:
    """The errors of a slice, by `FLOW_STATUS`."""
    return Counter(
        f"{name}_{one.status}"
        for name, found in told.items()
        for one in found
        if judged(name, one, is_faulty=is_faulty) is Verdict.ERROR
    )
