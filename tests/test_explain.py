"""Routes in words."""

import json
from dataclasses import replace

import pytest

from pinnace.router.explain import as_json, explain
from pinnace.router.route import ClusterMatch, EscalationGain, ModelEstimate, Route, Rung

ROUTE = Route(
    rungs=(Rung("small", 0.7), Rung("large"), Rung("spare", is_fallback=True)),
    strategy="cascade",
    why="small first; below a confidence of 0.70, large is worth its price",
    clusters=(ClusterMatch(3, "capital, country", 0.7), ClusterMatch(1, "city, town", 0.25)),
    estimates=(
        ModelEstimate("small", 0.62, 0.05, 0.000001),
        ModelEstimate("large", 0.97, 0.3, 0.0002),
        ModelEstimate("tiny", 0.1, 0.05, 0.0, "cannot call tools"),
    ),
)


def test_a_cascade_is_explained_step_by_step() -> None:
    text = explain(ROUTE)
    assert "resembles requests about: capital, country (70%)" in text
    assert "and also: city, town (25%)" in text
    assert "small  right  62% of the time" in text
    assert "little is known" in next(line for line in text.splitlines() if "large  right" in line)
    assert "tiny   cannot serve this one: cannot call tools" in text
    assert "1. ask small; keep its answer if it is at least 70% likely to be right" in text
    assert "2. otherwise ask large" in text
    assert "Only if that fails: spare" in text
    assert "Decision (cascade): small first" in text


@pytest.mark.parametrize(("familiarity", "word"), [(0.95, "clearly"), (0.5, "somewhat"), (0.2, "faintly")])
def test_how_clear_the_resemblance_is(familiarity: float, word: str) -> None:
    route = replace(ROUTE, clusters=(ClusterMatch(0, "x", 1.0),), familiarity=familiarity)
    assert explain(route).startswith(f"This {word} resembles requests about: x")


def test_a_request_like_no_other_is_said_to_be() -> None:
    text = explain(replace(ROUTE, familiarity=0.0))
    assert text.startswith("This is unlike the requests that were measured")


def test_a_single_model_is_just_asked() -> None:
    text = explain(replace(ROUTE, rungs=(Rung("large"),), strategy="single"))
    assert "1. ask large" in text
    assert "otherwise" not in text
    assert "Only if" not in text


def test_what_climbing_wins_is_shown_with_its_interval() -> None:
    text = explain(replace(ROUTE, gains=(EscalationGain("small", "large", 0.35, 0.2, 0.5),)))
    assert "measured: large +35 points over small (95 % sure of +20 to +50)\n" in text
    assert "measured" not in explain(ROUTE)


def test_where_both_never_ran_no_figure_is_claimed() -> None:
    text = explain(replace(ROUTE, gains=(EscalationGain("small", "large", 0.0, -1.0, 1.0),)))
    assert "large and small were never measured together on such requests" in text
    assert "points" not in text


def test_where_climbing_wins_nothing_it_is_said() -> None:
    text = explain(replace(ROUTE, gains=(EscalationGain("small", "large", -0.3, -0.5, -0.1),)))
    assert "(95 % sure of -50 to -10), so climbing to it buys nothing" in text


def test_as_json_is_the_route_itself() -> None:
    plain = json.loads(json.dumps(as_json(ROUTE)))
    assert plain["rungs"][0] == {"model": "small", "bar": 0.7, "is_fallback": False}
    assert plain["estimates"][2]["struck_out"] == "cannot call tools"
    assert plain["clusters"][0]["label"] == "capital, country"
