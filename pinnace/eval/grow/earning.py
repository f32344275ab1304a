"""Whether a candidate earns its place: its bar, and its gain over what the former routing did. Pure.

The gain is taken on calibration rows that the former routing has really answered, with confidences that the
gate had before it saw those rows.
"""

from collections.abc import Sequence

import numpy as np

from pinnace.config import Policy
from pinnace.eval.asking import request_of
from pinnace.eval.example import Example
from pinnace.eval.grow.decision import Verdict, decide, gain_per_cost
from pinnace.eval.grow.measuring import Candidate
from pinnace.eval.grow.refit import GrownFit, NewDomain, judged_rows
from pinnace.eval.grow.routing import Routed
from pinnace.eval.grow.setting import Setting
from pinnace.models.card import ModelCard
from pinnace.models.completion import Usage
from pinnace.router.known import Known
from pinnace.router.needs import prompt_tokens
from pinnace.router.policy import exchange_rate
from pinnace.router.types import FloatArray


def verdict_of(
    setting: Setting,
    candidate: Candidate,
    new: NewDomain,
    fitted: GrownFit,
    was: Routed,
    cards: Sequence[ModelCard],
    keep: float,
) -> Verdict:
    """Register the candidate, or not.

    :param was: what the former routing made of the first calibration rows.
    :param cards: of the fleet with the candidate.
    """
    bar = fitted.bars[new.name]
    if bar is None:
        return decide(None, None, keep)
    rows = len(was.models)
    confidence, scores, teachers = (
        part[:rows] for part in judged_rows(fitted.table, fitted.fit, new.name, setting.column())
    )
    costs = new.measured.domain.costs[:rows, new.measured.domain.models.index(new.name)]
    usd = teacher_usd(setting.teacher, candidate.calibration[:rows], new.teacher[:rows, 1])
    stands = confidence >= bar.least
    quality = np.where(stands, scores, teachers)
    spent = np.nan_to_num(costs) + np.where(stands, 0.0, usd)
    policy = setting.config.router.policy
    alpha = policy.alpha if isinstance(policy, Policy) else Policy().alpha
    gap = Known(fitted.fit.state).gap(cards)
    rates = np.array([exchange_rate(alpha, gap, one) for one in usd.tolist()])
    gain = gain_per_cost((was.scores, quality), (was.usd, spent), rates)
    return decide(bar, gain, keep)


def teacher_usd(card: ModelCard, examples: Sequence[Example], tokens: FloatArray) -> FloatArray:
    """What the teacher's answers cost, of `tokens` (n,) each, in USD, (n,)."""
    asked = [
        prompt_tokens(request_of(each.asking, each.prompt, name=each.id, max_tokens=1, seed=0))
        for each in examples
    ]
    pairs = zip(asked, tokens.tolist(), strict=True)
    return np.array([card.cost(Usage(prompt, int(written))) for prompt, written in pairs])
