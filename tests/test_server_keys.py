"""Keys over the wire: who is let in, to what, how often, for how much money, and what is written down."""

import asyncio
from pathlib import Path

import openai
import pytest
from key_fixtures import CHAT, OTHER, SECRET, ask, bearer, error_of, key
from server_fixtures import ASK, ASK_HARD, eventually, house, member

from pinnace.config import Votes
from pinnace.models.places import BATCH, INTERACTIVE
from pinnace.router.ledger import Ledger

INVALID = "invalid_request_error"


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        (None, "No API key was given: expected the header 'Authorization: Bearer KEY'."),
        ("pk-wrong", "The API key that was given is not one of this server's."),
    ],
)
async def test_a_missing_or_unknown_key_is_401(secret: str | None, said: str) -> None:
    async with house(keys=[key()]) as place:
        response = await ask(place, secret)
    assert error_of(response) == (401, INVALID, None, "invalid_api_key")
    assert response.json()["error"]["message"] == said
    assert response.headers["www-authenticate"] == "Bearer"


async def test_a_model_that_the_key_may_not_use_is_403() -> None:
    async with house(keys=[key(models=["small"])]) as place:
        with pytest.raises(openai.PermissionDeniedError) as caught:
            await place.client(SECRET).chat.completions.create(model="large", messages=ASK)
        assert place.backend("large").requests == []
    assert error_of(caught.value.response) == (403, INVALID, "model", "model_not_allowed")
    message = caught.value.response.json()["error"]["message"]
    assert message == "This key may not use the model 'large'; it may use: auto, small"


async def test_auto_routes_among_the_allowed_models_only() -> None:
    async with house(keys=[key(models=["small"]), key("bob", OTHER, models=["large"])]) as place:
        mine = await ask(place, messages=ASK_HARD)
        bobs = await ask(place, OTHER)
        assert (len(place.backend("small").requests), len(place.backend("large").requests)) == (1, 1)
    assert (mine.json()["model"], mine.json()["pinnace"]["route"]) == ("small", "small")
    assert (bobs.json()["model"], bobs.json()["pinnace"]["route"]) == ("large", "large")


async def test_models_lists_what_the_key_may_use() -> None:
    async with house(keys=[key(models=["small"]), key("bob", OTHER)]) as place, place.http() as http:
        listed = [
            [model["id"] for model in (await http.get("/v1/models", headers=bearer(secret))).json()["data"]]
            for secret in (SECRET, OTHER)
        ]
        hidden = await http.get("/v1/models/large", headers=bearer(SECRET))
    assert [[n for n in names if n in ("auto", "small", "large")] for names in listed] == [
        ["auto", "small"],
        ["auto", "small", "large"],
    ]
    assert hidden.status_code == 404


async def test_too_many_requests_a_minute_are_429_and_say_when_to_come_back() -> None:
    async with house(keys=[key(requests_per_minute=2)]) as place:
        answers = [await ask(place) for _ in range(3)]
    first, _, third = answers
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert first.headers["x-ratelimit-reset-requests"].endswith("s")
    assert "x-ratelimit-limit-tokens" not in first.headers
    assert error_of(third) == (429, "rate_limit_error", None, "rate_limit_exceeded")
    assert third.json()["error"]["message"].startswith(
        "Rate limit reached for this key: 2 requests a minute."
    )
    assert 29 <= int(third.headers["retry-after"]) <= 30
    assert third.headers["x-ratelimit-remaining-requests"] == "0"


async def test_one_keys_limit_is_not_anothers() -> None:
    async with house(keys=[key(requests_per_minute=1), key("bob", OTHER)]) as place:
        codes = [(await ask(place, secret)).status_code for secret in (SECRET, SECRET, OTHER, OTHER)]
    assert codes == [200, 429, 200, 200]


async def test_too_many_tokens_a_minute_are_429() -> None:
    async with house(keys=[key(tokens_per_minute=150)]) as place:
        answers = [await ask(place, max_tokens=100) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[0].headers["x-ratelimit-limit-tokens"] == "150"
    assert int(answers[0].headers["x-ratelimit-remaining-tokens"]) < 50
    assert error_of(answers[1]) == (429, "rate_limit_error", None, "rate_limit_exceeded")
    assert int(answers[1].headers["retry-after"]) >= 20


@pytest.mark.parametrize(("votes", "status"), [(1, 200), (3, 429)])
async def test_what_a_model_may_write_for_its_votes_counts_as_well(votes: int, status: int) -> None:
    told = {"json_schema": True, "votes": Votes(samples=votes) if votes > 1 else None}
    small = member("small", {"answer": "yes"}).model_copy(update=told)
    choosing = {"type": "choice", "choices": ["yes", "no"]}
    async with house(small, keys=[key(tokens_per_minute=250)]) as place:
        assert (await ask(place, response_format=choosing, max_tokens=100)).status_code == status


async def test_a_request_larger_than_a_minutes_tokens_is_never_let_in_and_says_so() -> None:
    async with house(keys=[key(tokens_per_minute=50)]) as place:
        response = await ask(place, max_tokens=100)
    assert error_of(response) == (429, "rate_limit_error", None, "rate_limit_exceeded")
    assert "of at most 50 a minute" in response.json()["error"]["message"]
    assert "retry-after" not in response.headers
    assert response.headers["x-should-retry"] == "false"


async def test_a_days_budget_that_is_spent_is_429_until_midnight() -> None:
    async with house(keys=[key(usd_per_day=1e-6), key("bob", OTHER)]) as place:
        first, second = await ask(place), await ask(place)
        bobs = await ask(place, OTHER)
        assert place.dispatcher.spending.today("alice") == pytest.approx(12e-6)
    assert (first.status_code, bobs.status_code) == (200, 200)
    assert error_of(second) == (429, "insufficient_quota", None, "insufficient_quota")
    assert "are spent (days are UTC)" in second.json()["error"]["message"]
    assert 0 < int(second.headers["retry-after"]) <= 86_400
    assert second.headers["x-should-retry"] == "false"


async def test_a_total_budget_that_is_spent_is_429_for_good() -> None:
    async with house(keys=[key(usd_total=0)]) as place:
        response = await ask(place)
    assert error_of(response) == (429, "insufficient_quota", None, "insufficient_quota")
    assert (
        response.json()["error"]["message"] == "The budget of this key is used up: USD 0.0000 of 0 are spent."
    )
    assert "retry-after" not in response.headers


async def test_what_a_client_spent_before_it_left_is_charged_to_its_key() -> None:
    slow = member("only", {"answer": "one two three four", "token_s": 0.05})
    async with house(slow, keys=[key()]) as place:
        task = asyncio.create_task(ask(place, stream=True))
        await eventually(lambda: place.backend("only").running)
        await asyncio.sleep(0.12)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await eventually(lambda: place.rows)
        (row,) = place.rows
        assert row.outcome == "abandoned"
        assert place.dispatcher.spending.total("alice") == row.cost_usd > 0


async def test_spending_survives_a_restart(tmp_path: Path) -> None:
    for run in range(2):
        async with house(keys=[key(usd_per_day=1e-6)]) as place:
            ledger = Ledger(tmp_path / "ledger.sqlite")
            place.dispatcher.ledger = ledger  # as `Dispatcher.from_config` makes it
            await place.dispatcher.start()
            answer = await ask(place)
            ledger.stop()
        assert answer.status_code == (200 if run == 0 else 429)


async def test_the_ledger_has_the_keys_name_and_never_the_key() -> None:
    async with house(keys=[key()], api_keys=["plain-secret"]) as place:
        for secret in (SECRET, "plain-secret"):
            await ask(place, secret)
        assert [row.key for row in place.rows] == ["alice", "api_keys[0]"]
        assert not any(secret in repr(place.rows) for secret in (SECRET, "plain-secret"))


async def test_an_open_server_writes_no_name() -> None:
    async with house() as place:
        await ask(place, None)
        assert [row.key for row in place.rows] == [""]


@pytest.mark.parametrize(
    ("of_key", "header", "tier", "priority"),
    [
        ("interactive", None, None, INTERACTIVE),
        ("interactive", "interactive", None, INTERACTIVE),
        ("interactive", "Batch", None, BATCH),
        ("interactive", None, "flex", BATCH),
        ("interactive", None, "default", INTERACTIVE),
        ("batch", None, None, BATCH),
        ("batch", "interactive", None, BATCH),
    ],
)
async def test_the_least_urgent_of_key_header_and_service_tier_holds(
    of_key: str, header: str | None, tier: str | None, priority: int
) -> None:
    headers = {} if header is None else {"x-pinnace-priority": header}
    fields = {} if tier is None else {"service_tier": tier}
    async with house(keys=[key(priority=of_key)]) as place:
        await ask(place, headers=headers, **fields)
        assert place.backend("small").requests[0].priority == priority


async def test_an_open_server_takes_the_header_too() -> None:
    async with house() as place:
        await ask(place, None, headers={"x-pinnace-priority": "batch"})
        assert place.backend("small").requests[0].priority == BATCH


async def test_a_priority_that_there_is_not_is_400() -> None:
    async with house() as place:
        response = await ask(place, None, headers={"x-pinnace-priority": "urgent"})
    assert error_of(response) == (400, INVALID, "x-pinnace-priority", "invalid_value")
    said = "x-pinnace-priority: expected 'interactive' or 'batch', got 'urgent'"
    assert response.json()["error"]["message"] == said


async def test_interactive_requests_overtake_batch_ones_that_wait() -> None:
    slow = member("only", {"answer": "one", "first_token_s": 0.05})
    async with house(slow, max_running=1) as place:
        tasks = [asyncio.create_task(ask(place, None, user="first"))]
        await eventually(lambda: place.app.admission.running == 1)
        for name in ("batch", "interactive"):
            tasks.append(asyncio.create_task(ask(place, None, headers={"x-pinnace-priority": name})))
            await eventually(lambda: place.app.admission.queued == len(tasks) - 1)
        await asyncio.gather(*tasks)
        assert [r.priority for r in place.backend("only").requests] == [INTERACTIVE, INTERACTIVE, BATCH]


async def test_batch_requests_cannot_fill_the_house() -> None:
    slow = member("only", {"answer": "one", "first_token_s": 5})
    async with house(slow, max_running=4, batch_share=0.5, max_queue=4) as place:
        batch = {"x-pinnace-priority": "batch"}
        tasks = [asyncio.create_task(ask(place, None, headers=batch)) for _ in range(4)]
        await eventually(lambda: place.app.admission.queued == 2)
        refused = await ask(place, None, headers=batch)
        tasks.append(asyncio.create_task(ask(place, None)))
        await eventually(lambda: place.app.admission.running == 3)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert error_of(refused) == (429, "rate_limit_error", None, "queue_full")


async def test_requests_without_a_body_do_not_count() -> None:
    async with house(keys=[key(requests_per_minute=1)]) as place, place.http() as http:
        codes = [(await http.get("/v1/models", headers=bearer())).status_code for _ in range(3)]
    assert codes == [200, 200, 200]


async def test_a_request_that_is_refused_counts_too() -> None:
    async with house(keys=[key(requests_per_minute=1)]) as place, place.http() as http:
        codes = [(await http.post(CHAT, json={}, headers=bearer())).status_code for _ in range(2)]
    assert codes == [400, 429]
