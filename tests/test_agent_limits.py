"""Limits and budgets of sessions: refused at the door, reserved before a call, never passed together."""

import asyncio
import math
from collections.abc import Iterator
from dataclasses import asdict, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.agents.budget import AMOUNTS, Budget, Reservation, Spent
from pinnace.agents.limits import Limits
from pinnace.errors import LimitError, StepError

NAMES = [field.name for field in fields(Limits)]
COUNTS = {"requests", "tokens", "tool_calls", "escalations"}
MAY_BE_ZERO = {"tool_calls", "escalations"}


class Clock:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_limits_are_unlimited_unless_said() -> None:
    assert set(asdict(Limits()).values()) == {None}
    budget = Budget(Limits())
    budget.reserve(requests=10**9, tokens=10**18, usd=1e9, joules=1e12, tool_calls=10**9, escalations=10**9)
    assert budget.left_s() is None
    budget.check_time()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [-1, math.nan, math.inf, -math.inf, True, "5", 10**400, [1], -0.5])
def test_a_limit_that_is_no_amount_is_refused_by_its_name(name: str, value: object) -> None:
    with pytest.raises(StepError, match=rf"Limits\({name}=.*give .* or None for no limit"):
        Limits(**{name: value})


@pytest.mark.parametrize("name", sorted(set(NAMES) - MAY_BE_ZERO))
def test_a_budget_of_zero_says_what_to_change(name: str) -> None:
    with pytest.raises(StepError) as caught:
        Limits(**{name: 0})
    assert str(caught.value) == f"Limits({name}=0) lets nothing run: give more than 0, or None for no limit"


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_counts_are_whole(name: str) -> None:
    with pytest.raises(StepError, match="give a whole number"):
        Limits(**{name: 1.5})


@pytest.mark.parametrize("name", sorted(MAY_BE_ZERO))
def test_zero_tool_calls_or_escalations_means_none_at_all(name: str) -> None:
    budget = Budget(Limits(**{name: 0}))
    budget.reserve(requests=1, **{name: 0}).settle()
    with pytest.raises(LimitError) as caught:
        budget.reserve(**{name: 1})
    assert (caught.value.limit, caught.value.allowed, caught.value.wanted) == (name, 0, 1)


@pytest.mark.parametrize("name", AMOUNTS)
def test_every_limit_holds_to_the_last_unit(name: str) -> None:
    budget = Budget(Limits(**{name: 3}))
    for _ in range(3):
        budget.reserve(**{name: 1}).settle()
    with pytest.raises(LimitError, match=f"limit of {name} is 3: 3 are spent or promised"):
        budget.reserve(**{name: 1})
    assert getattr(budget.spent, name) == 3


def test_the_first_limit_that_would_be_passed_is_named_and_nothing_is_reserved() -> None:
    budget = Budget(Limits(requests=5, tokens=100, usd=0.01))
    budget.reserve(requests=1, tokens=60, usd=0.001).settle(tokens=50)
    budget.reserve(requests=1, tokens=30)
    before = budget.reserved
    with pytest.raises(LimitError) as caught:
        budget.reserve(requests=1, tokens=30, usd=1)
    error = caught.value
    assert (error.limit, error.allowed, error.spent, error.wanted) == ("tokens", 100, 80, 30)
    assert budget.reserved == before


def test_settling_puts_what_was_taken_in_place_of_what_was_promised() -> None:
    budget = Budget(Limits(tokens=100, usd=1.0), Clock())
    held = budget.reserve(requests=1, tokens=100, usd=0.5)
    assert budget.reserved == Spent(requests=1, tokens=100, usd=0.5)
    assert budget.spent == Spent()
    held.settle(tokens=40, usd=0.25, joules=2.5)
    assert budget.reserved == Spent()
    assert budget.spent == Spent(requests=1, tokens=40, usd=0.25, joules=2.5)


def test_more_than_was_promised_is_recorded_and_stops_all_that_follows() -> None:
    budget = Budget(Limits(tokens=100))
    budget.reserve(requests=1, tokens=90).settle(tokens=120)
    assert budget.spent.tokens == 120
    with pytest.raises(LimitError, match="limit of tokens is 100: 120 are spent"):
        budget.reserve(tool_calls=1)


def test_only_the_first_close_of_a_reservation_counts() -> None:
    budget = Budget(Limits(tokens=10), Clock())
    held = budget.reserve(tokens=10)
    held.settle(tokens=4)
    held.settle(tokens=9)
    held.release()
    assert (budget.spent, budget.reserved) == (Spent(tokens=4), Spent())
    other = budget.reserve(tokens=6)
    other.release()
    other.release()
    other.settle(tokens=6)
    assert (budget.spent, budget.reserved) == (Spent(tokens=4), Spent())


def test_as_a_context_it_gives_back_what_was_not_settled() -> None:
    budget = Budget(Limits(tokens=10), Clock())
    with pytest.raises(RuntimeError), budget.reserve(tokens=10):
        raise RuntimeError("the call failed")
    with budget.reserve(tokens=10) as held:
        held.settle(tokens=3)
    assert (budget.spent, budget.reserved) == (Spent(tokens=3), Spent())


@pytest.mark.parametrize("amounts", [{"tokens": -1}, {"usd": math.nan}, {"joules": math.inf}, {"token": 1}])
def test_amounts_that_are_none_are_refused_and_change_nothing(amounts: dict[str, float]) -> None:
    budget = Budget(Limits(tokens=10), Clock())
    with pytest.raises(ValueError, match=f"got {next(iter(amounts))}="):
        budget.reserve(**amounts)
    held = budget.reserve(tokens=10)
    with pytest.raises(ValueError, match="expected a number of at least 0"):
        held.settle(**amounts)
    assert (budget.spent, budget.reserved) == (Spent(), Spent(tokens=10))


def test_decimals_add_up_as_they_are_written() -> None:
    budget = Budget(Limits(usd=0.3))
    for _ in range(3):
        budget.reserve(usd=0.1).settle()
    assert budget.spent.usd == 0.3
    with pytest.raises(LimitError):
        budget.reserve(usd=1e-12)


def test_seconds_are_the_age_of_the_session() -> None:
    clock = Clock()
    budget = Budget(Limits(seconds=5), clock)
    clock.now += 3
    assert (budget.spent.seconds, budget.left_s()) == (3, 2)
    budget.start()
    clock.now += 1
    budget.start()
    assert (budget.spent.seconds, budget.left_s()) == (1, 4)
    budget.check_time()
    clock.now += 4
    with pytest.raises(LimitError, match="limit of seconds is 5: 5 are spent") as caught:
        budget.check_time()
    assert caught.value.limit == "seconds"
    clock.now += 10
    assert budget.left_s() == 0


async def test_sixty_four_concurrent_calls_never_pass_a_limit() -> None:
    budget = Budget(Limits(requests=40, tokens=3_000, usd=0.02, joules=30.0))
    stopped: list[str] = []
    at_once: list[int] = []

    async def call(at: int) -> None:
        with budget.reserve(requests=1, tokens=100, usd=0.001, joules=1.0) as held:
            at_once.append(budget.reserved.requests)
            for _ in range(1 + at % 5):
                await asyncio.sleep(0)
            if at % 7:
                held.settle(tokens=60 + at % 40, usd=0.0007, joules=0.9)

    async def ask(at: int) -> None:
        for _ in range(10):
            try:
                await call(at)
            except LimitError as error:
                stopped.append(error.limit)
                await asyncio.sleep(0)

    await asyncio.gather(*map(ask, range(64)))
    spent = budget.spent
    assert max(at_once) == 20, "as many at once as could be paid for at their worst"
    assert {"usd", "joules"} & set(stopped)
    assert budget.reserved == Spent()
    assert 20 < spent.requests <= 40
    assert (spent.tokens <= 3_000, spent.usd <= 0.02, spent.joules <= 30.0) == (True, True, True)


amounts = st.fixed_dictionaries(
    {},
    optional={
        "requests": st.integers(0, 4),
        "tokens": st.integers(0, 400),
        "tool_calls": st.integers(0, 3),
        "escalations": st.integers(0, 2),
        "usd": st.floats(0, 0.7),
        "joules": st.floats(0, 70, allow_subnormal=False),
    },
)
deeds = st.lists(
    st.tuples(st.sampled_from(["reserve", "settle", "release"]), amounts, st.integers(0, 9), st.floats(0, 1))
)
LIMITS = Limits(requests=9, tokens=1_000, tool_calls=6, usd=1.1, joules=150.5, escalations=3)


@given(deeds)
def test_whatever_the_order_no_limit_is_passed_and_what_is_released_comes_back(
    plan: list[tuple[str, dict[str, float], int, float]],
) -> None:
    budget = Budget(LIMITS, Clock())
    held: list[tuple[Reservation, dict[str, float]]] = []
    for deed, wanted, at, share in plan:
        before = budget.spent, budget.reserved
        if deed == "reserve":
            got = _reserved(budget, wanted)
            if isinstance(got, Reservation):
                held.append((got, wanted))
            else:
                assert got.spent + got.wanted > got.allowed * (1 - 1e-12)
                assert (budget.spent, budget.reserved) == before
        elif held:
            reservation, promised = held.pop(at % len(held))
            if deed == "release":
                reservation.release()
                assert budget.spent == before[0]
            else:
                reservation.settle(**_part_of(promised, share))
        assert not list(_passed(budget))
    for reservation, _ in held:
        reservation.release()
    assert budget.reserved == Spent(), "to the last crumb"


def _reserved(budget: Budget, wanted: dict[str, float]) -> Reservation | LimitError:
    try:
        return budget.reserve(**wanted)
    except LimitError as error:
        return error


def _part_of(promised: dict[str, float], share: float) -> dict[str, float]:
    return {
        name: int(most * share) if isinstance(most, int) else most * share for name, most in promised.items()
    }


def _passed(budget: Budget) -> Iterator[str]:
    for name in AMOUNTS:
        both = getattr(budget.spent, name) + getattr(budget.reserved, name)
        if both > getattr(LIMITS, name) * (1 + 1e-12):  # the sum of two floats; the budget's own is exact
            yield name
