"""A whole response on the wire: the object around its items."""

from collections.abc import Mapping
from typing import Any

from pinnace.models.completion import Delta, Usage
from pinnace.router.answer import Answered
from pinnace.server.completion import route_of, to_json
from pinnace.server.responses_output import Output
from pinnace.server.responses_wire import ResponsesRequest


class ResponseObject:
    """The response to one request, at any stage of it.

    :param created: Unix seconds.
    """

    def __init__(self, asked: ResponsesRequest, response_id: str, created: int) -> None:
        self.logprobs = asked.logprobs
        self._head: dict[str, Any] = {"id": response_id, "object": "response", "created_at": created}
        self._echo = _echo(asked)

    def begun(self, model: str) -> dict[str, Any]:
        """The response before it says anything."""
        return {**self._head, "status": "in_progress", "model": model, "output": [], **self._rest(None, None)}

    def ended(self, output: Output, answered: Answered) -> dict[str, Any]:
        """The response with all that it says, and the account of its route."""
        reason = output.reason()
        return {
            **self._head,
            "status": "completed" if reason is None else "incomplete",
            "model": answered.model,
            "output": output.to_wire(self.logprobs),
            **self._rest(reason, _usage(answered.usage)),
            "pinnace": route_of(answered),
        }

    def _rest(self, reason: str | None, usage: Mapping[str, Any] | None) -> dict[str, Any]:
        details = None if reason is None else {"reason": reason}
        return {"error": None, "incomplete_details": details, "usage": usage, **self._echo}


class WholeResponse:
    """Gathers the deltas of one response."""

    def __init__(self, response: ResponseObject) -> None:
        self._response = response
        self._output = Output()

    def add(self, delta: Delta) -> None:
        """Take the next piece."""
        self._output.add(delta)

    def body(self, answered: Answered) -> bytes:
        """The JSON of the whole response."""
        return to_json(self._response.ended(self._output, answered)).encode()


def _echo(asked: ResponsesRequest) -> dict[str, Any]:
    """What a response says of its own request."""
    tools = [tool.model_dump() for tool in asked.tools or ()]
    form = asked.text.format if asked.text else None
    return {
        "background": False,
        "instructions": asked.instructions,
        "max_output_tokens": asked.max_output_tokens,
        "metadata": asked.metadata or {},
        "parallel_tool_calls": asked.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": asked.temperature,
        "text": {"format": form.model_dump(by_alias=True, exclude_none=True) if form else {"type": "text"}},
        "tool_choice": asked.tool_choice or "auto",
        "tools": tools,
        "top_logprobs": asked.top_logprobs or 0,
        "top_p": asked.top_p,
        "truncation": "disabled",
        "user": asked.user,
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
