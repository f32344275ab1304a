"""The body of `POST /v1/completions`, the older text completions: parsed, checked, and made `Request`s.

One request a prompt. Prompts of token ids, a suffix, an echo and a best of several are refused by name.
Knows nothing of routing or of how answers are rendered.
"""

from functools import partial
from typing import Annotated, cast

from pydantic import BeforeValidator, Field

from pinnace.config import Limits
from pinnace.errors import RequestError
from pinnace.models.completion import Message, Request
from pinnace.server.generation import Choices, tokens_within, too_large, wrong_field
from pinnace.server.sampling import LogitBias
from pinnace.server.shapes import NotStored
from pinnace.server.texts import Texts, several_texts

DEFAULT_MAX_TOKENS = 16
"""What OpenAI's older completions write where `max_tokens` is not given."""


def _is_token_ids(prompt: object) -> bool:
    """A token id, or a list of them."""
    if isinstance(prompt, list):
        return all(isinstance(token, int) for token in cast(list[object], prompt))
    return isinstance(prompt, int)


class TextRequest(Choices):
    """A text completion request, in OpenAI's fields."""

    prompt: Annotated[Texts, BeforeValidator(partial(several_texts, is_token_ids=_is_token_ids))]
    logprobs: int | None = Field(default=None, ge=0, le=5)
    best_of: int | None = Field(default=None, ge=1)
    logit_bias: LogitBias = None
    echo: NotStored = None

    # Known, and not supported: only null may be sent.
    suffix: None = None

    def to_requests(self, limits: Limits, request_id: str) -> tuple[Request, ...]:
        """The requests as backends read them, one a prompt.

        :param limits: the caps of `router.yaml`.
        :param request_id: what the completion is called; of several prompts, each request has its number
            behind it.
        :raises RequestError: where it is over a limit, or its fields contradict each other.
        """
        self._check_fields(limits)
        max_tokens = tokens_within(limits, "max_tokens", self.max_tokens, DEFAULT_MAX_TOKENS)
        ids = [request_id]
        if len(self.prompt) > 1:
            ids = [f"{request_id}-{number}" for number in range(len(self.prompt))]
        n = self.n_within(limits)
        found = zip(self.prompt, ids, strict=True)
        return tuple(self._request(prompt, name, max_tokens, n) for prompt, name in found)

    def _request(self, prompt: str, name: str, max_tokens: int, n: int) -> Request:
        return Request(
            messages=(Message("user", prompt),),
            id=name,
            max_tokens=max_tokens,
            n=n,
            priority=self.priority,
            **self.sampling_fields(),
            top_logprobs=self.logprobs,
            logit_bias=self.logit_bias or {},
            is_raw=True,
        )

    def _check_fields(self, limits: Limits) -> None:
        """Fields that need each other, or contradict each other."""
        self.check_stream_options()
        if len(self.prompt) > limits.prompts:
            raise too_large("prompt", limits.prompts, len(self.prompt))
        if self.stream and len(self.prompt) > 1:
            raise wrong_field("prompt", f"a stream takes one prompt, got {len(self.prompt)}")
        if self.best_of is not None and self.best_of != (self.n or 1):
            raise _unsupported("best_of", "choosing among more than n choices is not supported: leave it out")


def _unsupported(param: str, message: str) -> RequestError:
    return RequestError(f"{param}: {message}", param=param, code="unsupported_parameter")
