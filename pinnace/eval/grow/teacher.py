"""The teacher: the fleet's dearest model, or what it once answered, told again under its name.

Growing asks no remote model: the answers of the examples are the teacher's. `Replay` says so in its card, and
costs what the teacher would have cost.
"""

import os
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from pathlib import Path

from pinnace.config import Config, Member, load_config
from pinnace.errors import BackendUnavailableError, ConfigError
from pinnace.models.card import ModelCard, card_of
from pinnace.models.completion import Delta, Request, Usage
from pinnace.router.known import TYPICAL
from pinnace.router.needs import prompt_tokens


class Replay:
    """Not a model: a backend that tells recorded answers again, by the request's id.

    :param answers: by the id that a request has.
    :param count: tokens of an answer.
    """

    def __init__(self, card: ModelCard, answers: Mapping[str, str], count: Callable[[str], int]) -> None:
        self.card = replace(card, backend="replay")
        self._answers = answers
        self._count = count

    async def start(self) -> None:
        """Nothing to start."""

    async def drain(self) -> None:
        """Nothing to give back."""

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """The recorded answer, whole.

        :raises BackendUnavailableError: when there is none.
        """
        answer = self._answers.get(request.id)
        if answer is None:
            raise BackendUnavailableError(f"{self.card.name}: no answer is recorded for {request.id!r}")
        usage = Usage(prompt_tokens(request), self._count(answer))
        yield Delta(text=answer, finish_reason="stop", usage=usage)


class _Filled(dict[str, str]):
    """The environment with every other variable set too: to an address that nobody answers at."""

    def get(self, key: str, default: object = None) -> str:  # type: ignore[override]
        return super().get(key) or "http://absent.invalid/v1"


def described_config(path: Path, *, grown: bool = True) -> Config:
    """The configuration with its absent members too, to read their prices: never to ask them.

    :raises ConfigError: as `load_config`.
    """
    return load_config(path, _Filled(os.environ), grown=grown)


def teacher_card(described: Config) -> ModelCard:
    """The card of the dearest model of the fleet.

    :raises ConfigError: when the fleet has only one model.
    """
    cards = [_card(member) for member in described.fleet]
    teacher = max(reversed(cards), key=lambda card: card.cost(TYPICAL))
    if len({card.input_price + card.output_price for card in cards}) < 2:
        raise ConfigError(
            "grow: expected a fleet with a dearer model to learn from, as 'large' in router.yaml; "
            f"got {', '.join(card.name for card in cards)} at one price"
        )
    return teacher


def _card(member: Member) -> ModelCard:
    backend: str = getattr(member, "backend", "")
    return card_of(member, backend=backend)
