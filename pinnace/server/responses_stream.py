"""A streamed response on the wire: OpenAI's sequence of named events, each with its number.

`response.created` and `response.in_progress` come first; every item is added, grows and is done; then comes
one of `response.completed`, `response.incomplete` and `error`, and nothing after it. What is the same in
every piece of a text is rendered once.
"""

from collections.abc import Mapping
from typing import Any

from pinnace.models.completion import Delta
from pinnace.router.answer import Answered
from pinnace.server.completion import to_json, tokens_of
from pinnace.server.envelope import Envelope
from pinnace.server.responses_answer import ResponseObject
from pinnace.server.responses_output import CallItem, Output, Status, TextItem


class ResponseEvents:
    """Renders the events of one response.

    :param model: the model that answers.
    """

    def __init__(self, response: ResponseObject, model: str) -> None:
        self._response = response
        self._model = model
        self._output = Output()
        self._number = 0
        self._before_text = ""
        self._done: set[int] = set()

    def opening(self) -> bytes:
        """The response, before it says anything."""
        begun = {"response": self._response.begun(self._model)}
        return self._event("response.created", begun) + self._event("response.in_progress", begun)

    def delta(self, delta: Delta) -> bytes:
        """The events of one piece."""
        sent = self._say(delta) if delta.text else b""
        for piece in delta.tool_calls:
            sent += self._call(piece)
        if delta.finish_reason is not None:
            self._output.finish = delta.finish_reason
        return sent

    def ending(self, answered: Answered) -> bytes:
        """The items that are not done yet, and the whole response."""
        output = self._output
        sent = b"" if output.items else self._begin_text(output.open_text())
        reason = output.reason()
        for item in output.items:
            is_broken_off = reason is not None and item is output.items[-1]
            sent += self._end(item, "incomplete" if is_broken_off else "completed")
        kind = "response.completed" if reason is None else "response.incomplete"
        return sent + self._event(kind, {"response": self._response.ended(output, answered)})

    def failure(self, envelope: Envelope) -> bytes:
        """The event of an error: OpenAI's fields of it, and the envelope's for clients that look there."""
        fields = {"message": envelope.message, "code": envelope.code, "param": envelope.param}
        return self._event("error", {**fields, "error": {**fields, "type": envelope.type}})

    def _say(self, delta: Delta) -> bytes:
        """A piece of text, with its tokens where they are shown."""
        begin = b"" if self._output.text is not None else self._begin_text(self._output.open_text())
        item = self._output.open_text()
        item.add(delta)
        if self._response.logprobs is None:
            return begin + self._text_piece(delta.text)
        logprobs = tokens_of(delta.logprobs, self._response.logprobs)
        fields = {**_place(item), "content_index": 0, "delta": delta.text, "logprobs": logprobs}
        return begin + self._event("response.output_text.delta", fields)

    def _text_piece(self, text: str) -> bytes:
        """A piece of text, and nothing else."""
        self._number += 1
        return f'{self._before_text}{self._number - 1},"delta":{to_json(text)}}}\n\n'.encode("ascii")

    def _begin_text(self, item: TextItem) -> bytes:
        kind = "response.output_text.delta"
        fields: dict[str, Any] = {"type": kind, **_place(item), "content_index": 0, "logprobs": []}
        self._before_text = f'event: {kind}\ndata: {to_json(fields)[:-1]},"sequence_number":'
        part = {**_place(item), "content_index": 0, "part": item.part(None)}
        return self._added(item) + self._event("response.content_part.added", part)

    def _call(self, piece: Mapping[str, Any]) -> bytes:
        """A piece of a call. A new one ends the message before it."""
        output, sent = self._output, b""
        before, message = len(output.items), output.text
        item = output.call_of(piece)
        is_new = len(output.items) > before
        if is_new and message is not None:
            sent += self._end(message, "completed")
        arguments = item.add(piece)
        if is_new:
            sent += self._added(item)
        if arguments:
            fields = {**_place(item), "delta": arguments}
            sent += self._event("response.function_call_arguments.delta", fields)
        return sent

    def _added(self, item: TextItem | CallItem) -> bytes:
        fields = {"output_index": item.position, "item": item.to_wire("in_progress", None)}
        return self._event("response.output_item.added", fields)

    def _end(self, item: TextItem | CallItem, status: Status) -> bytes:
        """The events with which an item is done; none where it is already."""
        if item.position in self._done:
            return b""
        self._done.add(item.position)
        logprobs = self._response.logprobs
        if isinstance(item, CallItem):
            fields = {**_place(item), "name": item.name, "arguments": item.arguments()}
            sent = self._event("response.function_call_arguments.done", fields)
        else:
            part, place = item.part(logprobs), {**_place(item), "content_index": 0}
            text = {**place, "text": part["text"], "logprobs": part["logprobs"]}
            sent = self._event("response.output_text.done", text)
            sent += self._event("response.content_part.done", {**place, "part": part})
        fields = {"output_index": item.position, "item": item.to_wire(status, logprobs)}
        return sent + self._event("response.output_item.done", fields)

    def _event(self, kind: str, fields: Mapping[str, Any]) -> bytes:
        body = to_json({"type": kind, "sequence_number": self._number, **fields})
        self._number += 1
        return f"event: {kind}\ndata: {body}\n\n".encode("ascii")


def _place(item: TextItem | CallItem) -> dict[str, Any]:
    return {"item_id": item.id, "output_index": item.position}
