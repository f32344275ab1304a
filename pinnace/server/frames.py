"""The events of one stream of choices: what all have in common is rendered once.

The last finish reason is kept back until the account of the route is known, so that the final event has
it. Knows nothing of what a choice looks like.
"""

from collections.abc import Mapping
from typing import Any

from pinnace.router.answer import Answered
from pinnace.server.completion import route_of, to_json, usage_of
from pinnace.server.sse import DONE, frame


class Frames:
    """Frames the choices of one stream. `opening` and `no_usage` are what each event begins and ends with.

    :param head: the fields of every event.
    :param with_usage: whether an event with the usage and no choices ends the stream.
    """

    def __init__(self, head: Mapping[str, Any], *, with_usage: bool) -> None:
        self.opening = to_json(head)[:-1]
        self.no_usage = ',"usage":null' if with_usage else ""
        self._with_usage = with_usage
        self._kept: Mapping[str, Any] | None = None

    def choice(self, choice: Mapping[str, Any]) -> bytes:
        """The event of one choice."""
        return frame(f'{self.opening},"choices":[{to_json(choice)}]{self.no_usage}}}'.encode())

    def piece(self, content: bytes, finish: Mapping[str, Any] | None) -> bytes:
        """What to send for a piece of the answer: nothing, one event or two.

        :param content: its event, if it says anything.
        :param finish: the choice that it finishes, if it does.
        """
        if not content and finish is None:
            return b""
        before = self._release()
        if finish is not None:
            self._kept = finish
        return before + content

    def ending(self, answered: Answered, empty: Mapping[str, Any]) -> bytes:
        """The final event, with the account of the route, and `[DONE]`; `empty` where nothing was kept."""
        route = {"pinnace": route_of(answered)}
        if self._with_usage:
            return self._release() + self._final([], {"usage": usage_of(answered.usage), **route}) + DONE
        return self._final([self._kept or empty], route) + DONE

    def _release(self) -> bytes:
        """The event that was kept back, now that it is known not to be the final one."""
        if self._kept is None:
            return b""
        kept, self._kept = self._kept, None
        return self.choice(kept)

    def _final(self, choices: list[Mapping[str, Any]], rest: dict[str, Any]) -> bytes:
        return frame(f'{self.opening},"choices":{to_json(choices)},{to_json(rest)[1:]}'.encode())
