"""From a chat to the token ids that a local model reads, by the model's own chat template."""

import asyncio
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pinnace.models.completion import Message

LONG_TEXT = 20_000
"""Characters above which tokenizing would hold up the event loop, and goes to a thread."""


class ChatTokenizer:
    """The tokenizer that lies with the weights. Client-supplied templates are never used."""

    def __init__(self, folder: Path) -> None:
        transformers: Any = importlib.import_module("transformers")
        self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(str(folder))

    async def render(self, messages: Sequence[Message], system: str | None = None) -> list[int]:
        """The token ids of `messages` followed by the cue for the assistant's turn.

        :param system: the system turn to begin with where `messages` has none.
        """
        if sum(len(message.content) for message in messages) > LONG_TEXT:
            return await asyncio.to_thread(self.render_now, messages, system)
        return self.render_now(messages, system)

    def render_now(self, messages: Sequence[Message], system: str | None = None) -> list[int]:
        """The same, on the calling thread."""
        turns = [_turn(message) for message in messages]
        if system is not None and all(turn["role"] != "system" for turn in turns):
            turns.insert(0, {"role": "system", "content": system})
        text: str = self._tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids

    def is_end(self, token: int) -> bool:
        """Whether `token` ends an answer."""
        return bool(token == self._tokenizer.eos_token_id)

    def text(self, tokens: Sequence[int]) -> str:
        """What `tokens` say."""
        decoded: str = self._tokenizer.decode(list(tokens), skip_special_tokens=True)
        return decoded


def _turn(message: Message) -> dict[str, str]:
    role = "system" if message.role == "developer" else message.role
    return {"role": role, "content": message.content}
