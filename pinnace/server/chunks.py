"""A streamed answer on the wire: each delta as the bytes of a `chat.completion.chunk` event.

What is the same in every chunk of a stream is rendered once; per delta only its text is. The last
finish reason is kept back until the account of the route is known, so that the final chunk has it.
"""

from typing import Any

from pinnace.models.completion import Delta
from pinnace.router.answer import Answered
from pinnace.server.completion import logprobs_of, route_of, to_json, usage_of
from pinnace.server.sse import DONE, frame


class Chunks:
    """Renders the chunks of one stream.

    :param model: the model that answers.
    :param top_logprobs: alternatives per token to show; None shows no log-probabilities.
    :param with_usage: whether a chunk with the usage and no choices ends the stream.
    """

    def __init__(
        self, completion_id: str, created: int, model: str, *, top_logprobs: int | None, with_usage: bool
    ) -> None:
        head = {"id": completion_id, "object": "chat.completion.chunk", "created": created, "model": model}
        self._opening = to_json(head)[:-1]
        self._before_text = f'data: {self._opening},"choices":[{{"index":'
        self._no_usage = ',"usage":null' if with_usage else ""
        self._after_text = f'}},"logprobs":null,"finish_reason":null}}]{self._no_usage}}}\n\n'
        self._top_logprobs = top_logprobs
        self._with_usage = with_usage
        self._kept: dict[str, Any] | None = None

    def opening(self, choices: int) -> bytes:
        """The first chunks: who speaks, for every choice."""
        delta = {"role": "assistant", "content": "", "refusal": None}
        return b"".join(self._chunk(_choice(index, delta)) for index in range(choices))

    def delta(self, delta: Delta) -> bytes:
        """What to send for `delta`: nothing, one chunk or two."""
        content = self._content(delta)
        if not content and delta.finish_reason is None:
            return b""
        before = self._release()
        if delta.finish_reason is not None:
            self._kept = _choice(delta.index, {}, finish_reason=delta.finish_reason)
        return before + content

    def ending(self, answered: Answered) -> bytes:
        """The final chunk, with the account of the route, and `[DONE]`."""
        route = {"pinnace": route_of(answered)}
        if self._with_usage:
            return self._release() + self._final([], {"usage": usage_of(answered.usage), **route}) + DONE
        kept = self._kept or _choice(0, {}, finish_reason="stop")
        return self._final([kept], route) + DONE

    def _content(self, delta: Delta) -> bytes:
        if delta.tool_calls or self._top_logprobs is not None:
            return self._piece(delta)
        if not delta.text:
            return b""
        text = to_json(delta.text)
        return f'{self._before_text}{delta.index},"delta":{{"content":{text}{self._after_text}'.encode(
            "ascii"
        )

    def _piece(self, delta: Delta) -> bytes:
        """A delta with more to it than text."""
        fields: dict[str, Any] = {"content": delta.text} if delta.text else {}
        if delta.tool_calls:
            fields["tool_calls"] = list(delta.tool_calls)
        logprobs = logprobs_of(delta.logprobs, self._top_logprobs)
        if not fields and logprobs is None:
            return b""
        return self._chunk(_choice(delta.index, fields, logprobs=logprobs))

    def _release(self) -> bytes:
        """The chunk that was kept back, now that it is known not to be the final one."""
        if self._kept is None:
            return b""
        kept, self._kept = self._kept, None
        return self._chunk(kept)

    def _chunk(self, choice: dict[str, Any]) -> bytes:
        return frame(f'{self._opening},"choices":[{to_json(choice)}]{self._no_usage}}}'.encode())

    def _final(self, choices: list[dict[str, Any]], rest: dict[str, Any]) -> bytes:
        return frame(f'{self._opening},"choices":{to_json(choices)},{to_json(rest)[1:]}'.encode())


def _choice(
    index: int, delta: dict[str, Any], *, logprobs: Any = None, finish_reason: str | None = None
) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
