"""A remote model as a rung of a cascade."""

import pytest
from openai_fixtures import FAST, PAGE, remote
from router_fixtures import cascade_of, run, scripted
from stand_in_remote import DONE, choice, event, hang, reset, words

from pinnace.models.completion import Usage


@pytest.mark.parametrize("hold_tokens", [None, 2], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([hang], "large: no token within 0.5 s"),
        ([event(choice("", role="assistant")), hang], "large: no token within 0.5 s"),
        ([reset], "large: the connection broke (RemoteProtocolError)"),
        ([PAGE], "large: expected server-sent events, got something else"),
        ([event(choice("", role="assistant")), event(error="full")], "large: broke off: full"),
    ],
    ids=["silent", "a role and no word", "torn down", "a page", "an error"],
)
async def test_where_the_remote_model_fails_the_small_answer_is_returned(
    said: list[object], why: str, hold_tokens: int | None
) -> None:
    small = scripted("small", "I think it is Paris.", probability=0.2)
    async with remote(*said, timeouts=FAST | {"first_token_s": 0.5}) as (backend, _):
        ran = await run(cascade_of(small, backend), hold_tokens)
        assert (ran.text(), ran.answered.model) == ("I think it is Paris.", "small")
        assert ran.answered.why == f"not escalated: {why}"
        assert backend.running == 0


async def test_an_escalated_answer_costs_what_both_rungs_cost() -> None:
    small = scripted("small", "I think it is Paris.", price=1, probability=0.2)
    usage = event(usage={"prompt_tokens": 100, "completion_tokens": 10})
    async with remote(*words("It ", "is"), usage, DONE) as (backend, _):
        ran = await run(cascade_of(small, backend), 2)
    assert (ran.text(), ran.answered.usage) == ("It is", Usage(100, 10))
    assert ran.answered.cost_usd == pytest.approx((6 + 2) / 1e6 + (100 * 2 + 10 * 8) / 1e6)
