"""A streamed chat answer on the wire: each delta as the bytes of a `chat.completion.chunk` event.

What is the same in every chunk of a stream is rendered once; per delta only its text is.
"""

from json.encoder import encode_basestring_ascii
from typing import Any

from pinnace.models.completion import Delta
from pinnace.router.answer import Answered
from pinnace.server.completion import logprobs_of
from pinnace.server.envelope import Envelope
from pinnace.server.frames import Frames
from pinnace.server.sse import frame


class Chunks:
    """Renders the chunks of one stream.

    :param model: the model that answers.
    :param top_logprobs: alternatives per token to show; None shows no log-probabilities.
    :param with_usage: whether a chunk with the usage and no choices ends the stream.
    :param choices: how many choices there are.
    """

    def __init__(
        self,
        completion_id: str,
        created: int,
        model: str,
        *,
        top_logprobs: int | None,
        with_usage: bool,
        choices: int = 1,
    ) -> None:
        head = {"id": completion_id, "object": "chat.completion.chunk", "created": created, "model": model}
        self._frames = frames = Frames(head, with_usage=with_usage)
        self._before_text = f'data: {frames.opening},"choices":[{{"index":'
        self._after_text = f'}},"logprobs":null,"finish_reason":null}}]{frames.no_usage}}}\n\n'
        self._top_logprobs = top_logprobs
        self._choices = choices

    def opening(self) -> bytes:
        """The first chunks: who speaks, for every choice."""
        delta = {"role": "assistant", "content": "", "refusal": None}
        return b"".join(self._frames.choice(_choice(index, delta)) for index in range(self._choices))

    def delta(self, delta: Delta) -> bytes:
        """What to send for `delta`: nothing, one chunk or two."""
        reason = delta.finish_reason
        finish = None if reason is None else _choice(delta.index, {}, finish_reason=reason)
        return self._frames.piece(self._content(delta), finish)

    def ending(self, answered: Answered) -> bytes:
        """The final chunk, with the account of the route, and `[DONE]`."""
        return self._frames.ending(answered, _choice(0, {}, finish_reason="stop"))

    def failure(self, envelope: Envelope) -> bytes:
        """The event of an error; no `[DONE]` follows it."""
        return frame(envelope.body())

    def _content(self, delta: Delta) -> bytes:
        if delta.tool_calls or self._top_logprobs is not None:
            return self._piece(delta)
        if not delta.text:
            return b""
        text = encode_basestring_ascii(delta.text)
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
        return self._frames.choice(_choice(delta.index, fields, logprobs=logprobs))


def _choice(
    index: int, delta: dict[str, Any], *, logprobs: Any = None, finish_reason: str | None = None
) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
