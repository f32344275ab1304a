"""Rows as token ids, the prompt rendered as the serving side renders it, and pieces of them as tensors.

The answer ends with the token that ends an answer. Knows nothing of losses.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pinnace.models.completion import Message, Request
from pinnace.models.tokens import ChatTokenizer
from pinnace.models.tool_turns import spoken_messages
from pinnace.models.training.rows import Refusal, TrainingRow, TrainingRows


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One row as token ids; `answer` ends with the end token."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows that run through the model together.

    `shared` is the beginning that all prompts have in common, (shared,), and `rest` what follows it, (rows,
    longest), padded at its end: causal attention never sees the padding. The hidden state at (`row`,
    `column`) of `rest` predicts `label`; all three are (labels,), row by row.
    """

    shared: Any
    rest: Any
    row: Any
    column: Any
    label: Any


def token_row(row: TrainingRow, tokenizer: ChatTokenizer, system: str | None) -> TokenRow:
    """`row` as the model reads it.

    :param system: the system turn to begin with where the row has none, as `system` of a fleet member.
    """
    return TokenRow(prompt_ids(row, tokenizer, system), (*tokenizer.letters(row.answer), tokenizer.end))


def prompt_ids(row: TrainingRow, tokenizer: ChatTokenizer, system: str | None) -> tuple[int, ...]:
    """The token ids that a request with this prompt, these tools and this system turn comes to."""
    turns = (Message("user", row.prompt),)
    if row.system is not None:
        turns = (Message("system", row.system), *turns)
    request = Request(messages=turns, tools=row.tools, tool_choice=row.tool_choice)
    return tuple(tokenizer.render_now(spoken_messages(request, system), system))


def token_rows(
    rows: TrainingRows, tokenizer: ChatTokenizer, system: str | None, max_tokens: int
) -> tuple[list[TokenRow], list[Refusal]]:
    """All kept rows as the model reads them; those of more than `max_tokens` are refused by their number."""
    kept: list[TokenRow] = []
    refused: list[Refusal] = []
    for number, row in zip(rows.numbers(), rows.kept, strict=True):
        made = token_row(row, tokenizer, system)
        if len(made) <= max_tokens:
            kept.append(made)
        else:
            refused.append(Refusal(number, f"huge: expected at most {max_tokens} tokens, got {len(made)}"))
    return kept, refused


def piece_of(rows: Sequence[TokenRow], device: Any) -> Piece:
    """The tensors of some rows, padded to the longest."""
    torch: Any = importlib.import_module("torch")
    shared = shared_beginning([row.prompt for row in rows]) if len(rows) > 1 else 0
    longest = max(map(len, rows)) - 1 - shared
    rest: list[list[int]] = []
    places: list[tuple[int, int, int]] = []
    for at, row in enumerate(rows):
        ids = [*row.prompt[shared:], *row.answer[:-1]]
        rest.append(ids + [0] * (longest - len(ids)))
        first = len(row.prompt) - 1 - shared
        places += [(at, first + i, token) for i, token in enumerate(row.answer)]
    row_at, column, label = torch.tensor(places, device=device).unbind(1)
    beginning = torch.tensor(rows[0].prompt[:shared], dtype=torch.long, device=device)
    return Piece(beginning, torch.tensor(rest, device=device), row_at, column, label)


def shared_beginning(prompts: Sequence[tuple[int, ...]]) -> int:
    """How many tokens all prompts begin with alike, the last of each apart: it predicts the answer."""
    first, last = min(prompts), max(prompts)  # what these two share, all in between share
    unlike = (at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return min(next(unlike, len(first)), min(map(len, prompts)) - 1)
