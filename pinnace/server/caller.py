"""A caller: who asks, and what they may: which models, how much a minute, for how many USD, how urgently.

Knows nothing of how a caller is recognised (`pinnace.server.auth`) or of what is asked.
"""

import math
from collections.abc import Iterable
from dataclasses import replace

from pinnace.config import Key
from pinnace.models.completion import Request
from pinnace.models.places import BATCH, INTERACTIVE
from pinnace.router.spending import Spending
from pinnace.server.envelope import Envelope, Header, RefusedError
from pinnace.server.header_word import word_in
from pinnace.server.rate_limits import RateLimits

AUTO = "auto"
PRIORITY_HEADER = b"x-pinnace-priority"
_PRIORITIES = {b"interactive": INTERACTIVE, b"batch": BATCH}
_NEVER_RETRY: Header = (b"x-should-retry", b"false")


class Caller:
    """The holder of one key, or anybody at an open endpoint.

    `name` stands in the ledger, never the key; `allowed` are the models (None: all); `may_cache`, whether
    its deterministic answers may be kept for it.
    """

    def __init__(self, key: Key | None, spending: Spending, *, name: str = "", cache: bool = False) -> None:
        self.name = name if key is None else key.name
        self.allowed = None if key is None or key.models is None else frozenset(key.models)
        self.may_cache = cache or (key is not None and key.cache)
        self.priority = INTERACTIVE if key is None else _PRIORITIES[key.priority.encode()]
        self._key = key
        self._spending = spending
        self._is_limited = key is not None and bool(key.requests_per_minute or key.tokens_per_minute)
        self._limits = RateLimits(
            None if key is None else key.requests_per_minute, None if key is None else key.tokens_per_minute
        )

    def go_on(self, before: "Caller | None") -> None:
        """Go on in the minute of the same caller `before`, where its limits are the same."""
        if before is not None and before._limits.are_like(self._limits):
            self._limits = before._limits

    def knock(self) -> None:
        """Count a request that has come.

        :raises RefusedError: 429, with too many in a minute or nothing left to spend.
        """
        if self._key is not None:
            self._limits.take_request()
            self._check_budget(self._key)

    def claim(self, request: Request, model: str, weight: int, priority: int) -> Request:
        """`request` in the caller's name.

        :param model: what it asks for.
        :param weight: tokens that it may take.
        :param priority: that of its header and the caller; the least urgent of both and the body's holds.
        :raises RefusedError: 403 for a model that the caller may not use, 429 for too many tokens a minute.
        """
        urgency = max(request.priority, priority)
        if self._key is None:
            if urgency == request.priority and not self.name:
                return request
            return replace(request, caller=self.name, priority=urgency)
        self.permit(model, weight)
        return replace(request, caller=self.name, priority=urgency, allowed=self.allowed)

    def permit(self, model: str, weight: int) -> None:
        """Whether the caller may have so many tokens of `model`, which are counted.

        :raises RefusedError: 403 for a model that it may not use, 429 for too many tokens a minute.
        """
        self.check_model(model)
        self._limits.take_tokens(weight)

    def check_model(self, model: str) -> None:
        """Whether the caller may ask for `model`; `auto` routes among those that it may.

        :raises RefusedError: 403 where it may not.
        """
        if self.allowed is not None and model != AUTO and model not in self.allowed:
            known = ", ".join([AUTO, *sorted(self.allowed)])
            message = f"This key may not use the model {model[:64]!r}; it may use: {known}"
            raise RefusedError(
                Envelope(403, message, "invalid_request_error", "model_not_allowed", param="model")
            )

    def may_use(self, model: str) -> bool:
        """Whether the caller may see and ask for `model`."""
        return self.allowed is None or model == AUTO or model in self.allowed

    def headers(self) -> list[Header]:
        """What every answer tells the caller of its limits."""
        return self._limits.headers() if self._is_limited else []

    def _check_budget(self, key: Key) -> None:
        """What runs at this moment is charged when it ends: a budget is overrun by at most that."""
        spending = self._spending
        if key.usd_total is not None and (spent := spending.total(key.name)) >= key.usd_total:
            raise _no_money(f"USD {spent:.4f} of {key.usd_total:g} are spent", None)
        if key.usd_per_day is not None and (spent := spending.today(key.name)) >= key.usd_per_day:
            again = math.ceil(spending.until_midnight_s())
            raise _no_money(f"USD {spent:.4f} of today's {key.usd_per_day:g} are spent (days are UTC)", again)


def priority_of(headers: Iterable[Header]) -> int:
    """What `x-pinnace-priority` asks for; interactive where it is not sent.

    :raises RequestError: where it is neither `interactive` nor `batch`.
    """
    return word_in(headers, PRIORITY_HEADER, _PRIORITIES, otherwise=INTERACTIVE)


def _no_money(why: str, retry_after: int | None) -> RefusedError:
    message = f"The budget of this key is used up: {why}."
    kind = "insufficient_quota"
    return RefusedError(Envelope(429, message, kind, kind, retry_after=retry_after, headers=(_NEVER_RETRY,)))
