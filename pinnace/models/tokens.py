"""From a chat to the token ids that a local model reads, by the model's own chat template.

Control tokens come from the template alone: where the text of a message spells one (`<|im_start|>`), the
model reads the letters. So nobody can end their turn and speak as the system.
"""

import asyncio
import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pinnace.models.completion import Message, is_begun

LONG_TEXT = 20_000
"""Characters above which tokenizing would hold up the event loop, and goes to a thread."""
_STAND_IN = 0x10F000
"""The first of the private characters that take the places of spelled control tokens in the template."""


class ChatTokenizer:
    """The tokenizer that lies with the weights. Client-supplied templates are never used."""

    def __init__(self, folder: Path) -> None:
        transformers: Any = importlib.import_module("transformers")
        self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(str(folder))
        control = sorted(_control_tokens(self._tokenizer), key=len, reverse=True)
        self._spelled = {chr(_STAND_IN + at): token for at, token in enumerate(control)}
        self._stand_ins = {token: stand_in for stand_in, token in self._spelled.items()}
        self._control = re.compile("|".join(map(re.escape, control)) or r"(?!)")

    @property
    def plain(self) -> Any:
        """The same, as transformers has it."""
        return self._tokenizer

    async def render(self, messages: Sequence[Message], system: str | None = None) -> list[int]:
        """The token ids of `messages` followed by the cue for the assistant's turn.

        :param system: the system turn to begin with where `messages` has none.
        """
        if sum(len(message.content) for message in messages) > LONG_TEXT:
            return await asyncio.to_thread(self.render_now, messages, system)
        return self.render_now(messages, system)

    def render_now(self, messages: Sequence[Message], system: str | None = None) -> list[int]:
        """The same, on the calling thread. An answer that has begun follows the cue as it stands."""
        begun = messages[-1].content if is_begun(messages) else ""
        turns = [_turn(message) for message in (messages[:-1] if begun else messages)]
        if system is not None and all(turn["role"] != "system" for turn in turns):
            turns.insert(0, {"role": "system", "content": system})
        spells = any(self._control.search(text) for text in (*(turn["content"] for turn in turns), begun))
        if spells:
            begun = self._veiled(begun)
            turns = [{**turn, "content": self._veiled(turn["content"])} for turn in turns]
        text: str = self._tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        return self._unveiled(text + begun) if spells else self._encoded(text + begun)

    def _veiled(self, text: str) -> str:
        """`text` with a stand-in where it spells a control token."""
        return self._control.sub(lambda found: self._stand_ins[found[0]], text)

    def _unveiled(self, text: str) -> list[int]:
        """The token ids of a rendered chat; a stand-in is read as the letters that it stands for."""
        ids: list[int] = []
        for piece in re.split(f"([{''.join(self._spelled)}])", text):
            for part in self._spelled.get(piece, (piece,)):  # a control token letter by letter
                ids += self._encoded(part)
        return ids

    def _encoded(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids

    async def encode(self, text: str) -> list[int]:
        """The token ids of `text` as it stands, without any template; control tokens in it count as such."""
        if len(text) > LONG_TEXT:
            return await asyncio.to_thread(self.encode_now, text)
        return self.encode_now(text)

    def encode_now(self, text: str) -> list[int]:
        """The same, on the calling thread."""
        ids: list[int] = self._tokenizer.encode(text)
        return ids

    @property
    def end(self) -> int:
        """The token that ends an answer."""
        ended: int = self._tokenizer.eos_token_id
        return ended

    def spelled(self, text: str) -> str | None:
        """The first control token that `text` spells."""
        found = self._control.search(text)
        return found[0] if found else None

    def letters(self, text: str) -> list[int]:
        """The token ids of `text` as an answer would write it, with nothing put before it."""
        return self._encoded(text)

    def is_end(self, token: int) -> bool:
        """Whether `token` ends an answer."""
        return bool(token == self._tokenizer.eos_token_id)

    def text(self, tokens: Sequence[int]) -> str:
        """What `tokens` say."""
        decoded: str = self._tokenizer.decode(list(tokens), skip_special_tokens=True)
        return decoded


def _control_tokens(tokenizer: Any) -> set[str]:
    """What the tokenizer takes for more than letters: its special tokens."""
    added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    return {*added, *tokenizer.all_special_tokens}


def _turn(message: Message) -> dict[str, str]:
    role = "system" if message.role == "developer" else message.role
    return {"role": role, "content": message.content}
