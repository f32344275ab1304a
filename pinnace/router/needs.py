"""Hard needs: what a request cannot do without, and which models therefore cannot serve it. Pure."""

import json
from collections.abc import Sequence

from pinnace.models.card import ModelCard
from pinnace.models.completion import Request
from pinnace.models.tool_turns import may_call

CHARACTERS_PER_TOKEN = 4


def prompt_tokens(request: Request) -> int:
    """A guess at the tokens of prompt and tools before any tokenizer has seen them: four characters each."""
    characters = sum(len(m.content) for m in request.messages)
    schema = request.response_format if wants_json(request) else None
    if request.tools or schema:
        characters += len(json.dumps([request.tools, schema]))
    return characters // CHARACTERS_PER_TOKEN + 4 * len(request.messages)


def why_struck_out(card: ModelCard, request: Request) -> str | None:
    """Why `card` cannot serve `request`, or None where it can.

    The length is guessed with room to spare: a prompt that is only nearly too long is tried, and the
    backend's own count decides.
    """
    if may_call(request) and not card.tools:
        return "cannot call tools"
    if wants_json(request) and not card.json_schema:
        return "cannot be held to a JSON schema"
    guess = prompt_tokens(request) // 2
    if card.context_window is not None and guess > card.context_window:
        return f"the prompt has over {guess} tokens, its context window is {card.context_window}"
    return None


def only_capable(cards: Sequence[ModelCard], request: Request) -> ModelCard | None:
    """The one of `cards` that can serve `request`; None where several can, or none."""
    capable = [card for card in cards if why_struck_out(card, request) is None]
    return capable[0] if len(capable) == 1 else None


def wants_json(request: Request) -> bool:
    """Whether the answer is to be JSON."""
    return (request.response_format or {}).get("type") in ("json_object", "json_schema")
