"""The policy and exploration: each mode has its own keys, and what is wrong is told."""

from typing import Any

import pytest
from config_fixtures import complaint, small

from pinnace.config import AnyPolicy, BudgetPolicy, Explore, FloorPolicy, Policy, parse_config


def with_policy(section: Any) -> dict[str, Any]:
    """A fleet of one scripted model with this policy."""
    return small() | {"router": {"policy": section}}


@pytest.mark.parametrize(
    ("section", "policy"),
    [
        ({}, Policy(mode="tradeoff", alpha=0.75)),
        ({"alpha": 0.5}, Policy(alpha=0.5)),
        ({"mode": "tradeoff", "alpha": 0.5}, Policy(alpha=0.5)),
        (
            {"mode": "quality_floor", "keep": 0.97},
            FloorPolicy(mode="quality_floor", keep=0.97, confidence=0.95, horizon=None),
        ),
        ({"mode": "quality_floor", "keep": "${KEEP}"}, FloorPolicy(mode="quality_floor", keep=0.9)),
        ({"mode": "budget", "usd_per_1k": 0.2}, BudgetPolicy(mode="budget", usd_per_1k=0.2)),
    ],
)
def test_each_mode_of_the_policy_is_a_section_of_its_own(section: Any, policy: AnyPolicy) -> None:
    assert parse_config(with_policy(section), {"KEEP": "0.9"}).router.policy == policy


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"mode": "budget", "usd_per_1k": 1, "alpha": 0.5}, "policy.alpha: not a key of the mode 'budget'"),
        ({"keep": 0.9}, "policy.keep: not a key of the mode 'tradeoff'"),
        ({"mode": "quality_floor", "keep": 0.9, "usd_per_1k": 1}, "policy.usd_per_1k: not a key of the mode"),
        ({"mode": "quality_floor", "keeep": 0.9}, "policy.keeep: unknown key; did you mean 'keep'?"),
        ({"mode": "quality_floor"}, "router.policy.keep: Field required"),
        ({"mode": "quality_floor", "keep": 1.1}, "policy.keep: Input should be less than or equal to 1, got"),
        ({"mode": "quality_floor", "keep": 0}, "policy.keep: Input should be greater than 0, got 0"),
        ({"mode": "quality_floor", "keep": 0.9, "confidence": 1}, "policy.confidence: Input should be less"),
        ({"mode": "quality_floor", "keep": 0.9, "horizon": 0}, "policy.horizon: Input should be greater"),
        ({"mode": "budget"}, "router.policy.usd_per_1k: Field required"),
        ({"mode": "budget", "usd_per_1k": 0}, "policy.usd_per_1k: Input should be greater than 0, got 0"),
        ({"mode": "bugdet"}, "router.policy: Input tag 'bugdet' found using mode() does not match any of"),
        ({"mode": ["budget"]}, "router.policy: Input tag"),
        ({"mode": None}, "router.policy: Input tag 'None'"),
        (0.5, "router.policy: Unable to extract tag using discriminator mode(), got 0.5"),
    ],
)
def test_a_policy_has_the_keys_of_its_mode_and_no_others(section: Any, said: str) -> None:
    assert said in complaint(with_policy(section))


def with_explore(section: Any, policy: Any) -> dict[str, Any]:
    """A fleet of one scripted model that explores."""
    return small() | {"router": {"explore": section, "policy": policy}}


FLOOR = {"mode": "quality_floor", "keep": 0.9}


def test_nothing_is_explored_unless_asked_for() -> None:
    assert parse_config(small(), {}).router.explore is None


@pytest.mark.parametrize("policy", [{}, FLOOR, {"mode": "budget", "usd_per_1k": 1}])
def test_every_mode_can_explore(policy: Any) -> None:
    found = parse_config(with_explore({"share": 0.05, "max_extra_usd_per_1k": 0.1}, policy), {})
    assert found.router.explore == Explore(share=0.05, keep=0.95, max_extra_usd_per_1k=0.1)


@pytest.mark.parametrize(
    ("section", "policy", "said"),
    [
        ({}, {}, "router.explore.share: Field required"),
        ({"share": 0}, {}, "explore.share: Input should be greater than 0, got 0"),
        ({"share": 1.5}, {}, "explore.share: Input should be less than or equal to 1, got 1.5"),
        ({"share": 0.1, "keep": 1.1}, {}, "explore.keep: Input should be less than or equal to 1, got 1.1"),
        ({"share": 0.1, "max_extra_usd_per_1k": -1}, {}, "max_extra_usd_per_1k: Input should be greater"),
        (
            {"share": 0.1, "max_quality_loss_per_1k": "x"},
            {},
            "max_quality_loss_per_1k: Input should be a valid",
        ),
        ({"share": 0.1, "max_usd": 1}, {}, "router.explore.max_usd: unknown key"),
        ({"shar": 0.1}, {}, "explore.shar: unknown key; did you mean 'share'?"),
        (0.1, {}, "router.explore: Input should be a valid dictionary"),
        (
            {"share": 0.1, "keep": 0.8},
            FLOOR,
            "router: explore.keep: not beside the mode 'quality_floor', whose own keep holds",
        ),
    ],
)
def test_exploration_that_is_wrong_is_told(section: Any, policy: Any, said: str) -> None:
    assert said in complaint(with_explore(section, policy))
