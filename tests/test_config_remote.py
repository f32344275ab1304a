"""Settings of remote members, engines' patience and deadlines: defaults, and what is refused."""

from typing import Any

import pytest
from config_fixtures import complaint, large, small

from pinnace.config import Breaker, Config, OpenAIMember, Retries, Server, parse_config


def test_remote_members_retry_a_fifth_and_have_a_breaker() -> None:
    (member,) = parse_config(large(), {}).fleet
    assert isinstance(member, OpenAIMember)
    assert (member.retries, member.breaker) == (Retries(), Breaker())
    assert (member.retries.share, member.connections, member.max_tokens_field) == (0.2, 256, "max_tokens")
    assert Server().request_timeout_s == 600


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (large(retries={"share": 1.5}), "fleet.0.retries.share: Input should be less than or equal to 1"),
        (large(retries={"most": 11}), "fleet.0.retries.most: Input should be less than or equal to 10"),
        (large(retries={"shares": 1}), "fleet.0.retries.shares: unknown key; did you mean 'share'?"),
        (large(retries={"longest_s": float("inf")}), "fleet.0.retries.longest_s: Input should be a finite"),
        (large(breaker={"failures": 0}), "fleet.0.breaker.failures: Input should be greater than or equal"),
        (large(breaker={"ratio": 0}), "fleet.0.breaker.ratio: Input should be greater than 0"),
        (large(breaker={"rest": 1}), "fleet.0.breaker.rest: unknown key; did you mean"),
        (large(connections=0), "fleet.0.connections: Input should be greater than or equal to 1"),
        (large(max_tokens_field="tokens"), "fleet.0.max_tokens_field: Input should be 'max_tokens' or"),
        (small() | {"server": {"request_timeout_s": 0}}, "server.request_timeout_s: Input should be greater"),
    ],
)
def test_settings_out_of_bounds_are_refused_by_name(raw: dict[str, Any], said: str) -> None:
    assert said in complaint(raw)


def test_an_engine_is_as_patient_as_it_is_told() -> None:
    member = {"name": "a", "backend": "vllm", "weights": ["x"], "engine": {"first_token_s": 5, "stall_s": 2}}
    config = Config.model_validate({"fleet": [member]})
    assert config.fleet[0].model_dump()["engine"]["stall_s"] == 2
