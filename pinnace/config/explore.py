"""Exploration's settings. `pinnace.router.exploration` says what they do."""

from pydantic import Field

from pinnace.config.section import Section


class Explore(Section):
    """A `share` of requests is served otherwise than usual, to learn from: see `pinnace.router.explorer`.

    `keep` is the share of the large model's estimated quality that no explored route goes below. The limits
    are per 1,000 requests, explored or not: USD added, and answers lost; the share is lowered to meet them.
    """

    share: float = Field(gt=0, le=1)
    keep: float = Field(default=0.95, ge=0, le=1)
    max_extra_usd_per_1k: float | None = Field(default=None, ge=0)
    max_quality_loss_per_1k: float | None = Field(default=None, ge=0)
