"""What a remote server is sent for a `Request`: the body of one POST, and the key. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from pinnace.config import OpenAIMember
from pinnace.errors import RequestError
from pinnace.models.completion import Message, Request
from pinnace.models.tool_turns import answer_choices


def body_of(member: OpenAIMember, request: Request, max_tokens_field: str) -> bytes:
    """The JSON of it; what the request leaves open is as configured, or not sent.

    A choice is not sent either, since only Pinnace knows that format; the answer is judged by it all the
    same.

    :param max_tokens_field: what the server calls the cap on the answer.
    :raises RequestError: where it has a number that JSON cannot hold.
    """
    configured = member.sampling.model_dump(exclude_unset=True)
    body: dict[str, Any] = {
        "model": member.model,
        "messages": [_wire(message) for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        max_tokens_field: request.max_tokens,
        "n": request.n,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
        "stop": list(request.stop) or None,
        "presence_penalty": request.presence_penalty or None,
        "frequency_penalty": request.frequency_penalty or None,
        "tools": list(request.tools) or None,
        "tool_choice": request.tool_choice,
        "parallel_tool_calls": None if request.parallel_tool_calls or not request.tools else False,
        "logit_bias": {str(token): bias for token, bias in request.logit_bias.items()} or None,
        "response_format": None if answer_choices(request) else request.response_format,
    }
    if request.top_logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
    return _encoded(configured | {key: value for key, value in body.items() if value is not None})


def key_headers(member: OpenAIMember) -> dict[str, str]:
    """What shows the server who asks; nothing where no key is configured."""
    if member.api_key is None:
        return {}
    return {"Authorization": f"Bearer {member.api_key.get_secret_value()}"}


def _encoded(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body, allow_nan=False).encode()
    except ValueError:
        raise RequestError("expected numbers that JSON has, got one that is not finite") from None


def _wire(message: Message) -> dict[str, Any]:
    return {"role": message.role, "content": message.content, **message.extra}
