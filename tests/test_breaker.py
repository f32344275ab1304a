"""The circuit breaker: it opens on failures alone, lets one probe through, and never counts what is over."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pinnace.config import Breaker as Settings
from pinnace.models.breaker import Breaker, Visit

SETTINGS = Settings(failures=3, ratio=0.5, votes=10, window_s=10, rest_s=5, longest_rest_s=12)


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def entered(breaker: Breaker) -> Visit:
    visit = breaker.enter()
    assert visit is not None
    return visit


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(SETTINGS, clock)
    for _ in range(3):
        entered(breaker).failed()
    assert breaker.state() == "open"
    return breaker


def test_it_opens_after_enough_failures_and_lets_nobody_through() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 4.9
    assert breaker.enter() is None
    assert breaker.rest_left() == pytest.approx(0.1)


@pytest.mark.parametrize(("good", "state"), [(3, "open"), (4, "closed")])
def test_failures_beside_many_answers_do_not_open_it(good: int, state: str) -> None:
    breaker = Breaker(SETTINGS, Clock())
    for _ in range(good):
        entered(breaker).succeeded()
    for _ in range(3):
        entered(breaker).failed()
    assert breaker.state() == state


def test_failures_long_ago_are_forgotten() -> None:
    clock = Clock()
    breaker = Breaker(SETTINGS, clock)
    for _ in range(8):
        entered(breaker).failed()
        clock.now += 6
        assert breaker.state() == "closed"


def test_only_the_last_votes_count() -> None:
    breaker = Breaker(SETTINGS, Clock())
    for _ in range(50):
        entered(breaker).succeeded()
    for _ in range(5):
        entered(breaker).failed()
    assert breaker.state() == "open"


def test_one_probe_goes_through_and_its_answer_closes_it() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 5
    assert breaker.state() == "half_open"
    probe = entered(breaker)
    assert breaker.enter() is None
    probe.succeeded()
    assert breaker.state() == "closed"
    assert breaker.enter() is not None


def test_a_probe_that_fails_makes_the_rest_twice_as_long_up_to_the_longest() -> None:
    clock = Clock()
    breaker = opened(clock)
    for rest_s in (5, 10, 12, 12):
        assert breaker.rest_left() == pytest.approx(rest_s)
        clock.now += rest_s
        entered(breaker).failed()


def test_a_probe_that_was_cancelled_leaves_room_for_another() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 5
    entered(breaker).ended()
    assert breaker.state() == "half_open"
    assert breaker.enter() is not None


def test_what_began_before_it_opened_says_nothing_of_the_probe() -> None:
    clock = Clock()
    breaker = Breaker(SETTINGS, clock)
    late = [entered(breaker) for _ in range(2)]
    for _ in range(3):
        entered(breaker).failed()
    late[0].succeeded()
    assert breaker.state() == "open"
    clock.now += 5
    entered(breaker)
    late[1].failed()
    assert breaker.state() == "half_open"


def test_an_answer_that_broke_off_is_a_failure_too() -> None:
    breaker = Breaker(SETTINGS, Clock())
    for _ in range(3):
        visit = entered(breaker)
        visit.succeeded()
        visit.broke()
        visit.ended()
    assert breaker.state() == "open"


def test_a_visit_is_counted_once() -> None:
    breaker = Breaker(SETTINGS, Clock())
    visit = entered(breaker)
    for _ in range(10):
        visit.failed()
    assert breaker.state() == "closed"


class BreakerMachine(RuleBasedStateMachine):
    """Any order of visits, ends and waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(SETTINGS, self.clock)
        self.visits: list[Visit] = []
        self.failures_told = 0

    @rule()
    def enter(self) -> None:
        before = self.breaker.state()
        visit = self.breaker.enter()
        assert visit is None or before != "open"
        assert visit is not None or before != "closed"
        if visit is not None:
            self.visits.append(visit)
        if before == "half_open":
            assert self.breaker.enter() is None

    @precondition(lambda self: self.visits)
    @rule(how=st.sampled_from(["succeeded", "failed", "ended", "broke"]), which=st.integers(0, 100))
    def leave(self, how: str, which: int) -> None:
        visit = self.visits.pop(which % len(self.visits))
        self.failures_told += how in ("failed", "broke")
        getattr(visit, how)()

    @rule(seconds=st.floats(0, 20))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def it_is_open_only_for_a_reason(self) -> None:
        assert 0 <= self.breaker.rest_left() <= SETTINGS.longest_rest_s
        if self.failures_told < SETTINGS.failures:
            assert self.breaker.state() == "closed"


TestAnyOrder = BreakerMachine.TestCase
