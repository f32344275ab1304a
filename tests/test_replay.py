"""What must hold of every replay, whatever the table."""

from dataclasses import replace

import numpy as np
import pytest
from replay_worlds import (
    DRAWS,
    LARGE,
    POOL,
    QUICK,
    SEEDS,
    SMALL,
    areas,
    finished,
    finished_once,
    recorded_of,
    small_accuracies,
    with_columns,
    world,
)

from pinnace.errors import TableError
from pinnace.eval.bootstrap import draw_weights
from pinnace.eval.foreign import foreign
from pinnace.eval.methods import METHODS
from pinnace.eval.pool import Pool
from pinnace.eval.recorded_rows import Recorded, hash_split, shuffled
from pinnace.eval.replay import Replay, best_peer, lead, replay, usable_methods

ALIKE = {"abs": 1e-6}
DRAWN_BY_ORDER = {"random"}
"""Methods that draw models by their place in the pool."""


def quickly(recorded: Recorded, **settings: int) -> Replay:
    return replay(recorded, methods=QUICK, **{"seeds": SEEDS, "draws": DRAWS, **settings})  # type: ignore[arg-type]


def test_the_oracle_bounds_every_method_in_every_draw() -> None:
    found = finished().methods
    for name, method in found.items():
        for figure in ("area", "small_accuracy"):
            best, own = found["oracle"].figures[figure], method.figures[figure]
            assert own.value <= best.value + 1e-9, (name, figure)
            assert (own.draws <= best.draws + 1e-9).all(), (name, figure)


def test_best_singles_bound_nobody_but_the_blind_mix_holds_them() -> None:
    found = areas(finished())
    assert found["content_blind"] >= max(found["best_single"], found["cheapest"]) - 1e-9


def test_learners_beat_the_blind_mix_where_there_is_something_to_learn() -> None:
    found = areas(finished())
    for name in ("pinnace", "knn40", "knn100", "avengers_pro"):
        assert found[name] > found["content_blind"] + 3, name
    assert lead(finished(), "pinnace", "content_blind", "area").low > 0


def test_all_methods_have_all_figures_over_all_draws() -> None:
    found = finished()
    assert set(found.methods) == set(METHODS)
    for name, method in found.methods.items():
        for figure in ("area", "small_accuracy", "accuracy", "audc"):
            drawn = method.figures[figure]
            assert drawn.draws.shape == (DRAWS,)
            assert 0 <= drawn.value <= 100, (name, figure)
            assert drawn.interval().low <= drawn.interval().high


def test_curves_rise_and_start_at_the_grids_first_cost() -> None:
    found = finished()
    assert (np.diff(found.grid) > 0).all()
    costs = [cost for cost, _ in found.singles.values()]
    assert (found.grid[0], found.grid[-1]) == pytest.approx((min(costs), max(costs)))
    for method in found.methods.values():
        assert method.curve.shape == (DRAWS + 1, len(found.grid))
        assert (np.diff(method.curve, axis=1) >= -1e-12).all()
        assert ((method.curve >= 0) & (method.curve <= 1)).all()


def test_the_values_are_means_over_the_splits_of_the_rows_as_they_are() -> None:
    recorded = recorded_of(world())
    expected = []
    for seed in range(SEEDS):
        split = hash_split(recorded, seed)
        best = int(np.argmax(split.train.scores[:, :3].mean(axis=0)))
        expected.append(100 * split.test.scores[:, best].mean())
    assert small_accuracies(finished())["best_single"] == pytest.approx(np.mean(expected))
    assert finished().test_rows == tuple(len(hash_split(recorded, s).test.rows) for s in range(SEEDS))


def test_draws_are_those_of_the_shared_weights() -> None:
    recorded = recorded_of(world())
    weights = draw_weights(len(recorded), DRAWS, seed=0)
    drawn = []
    for seed in range(SEEDS):
        split = hash_split(recorded, seed)
        best = int(np.argmax(split.train.scores.mean(axis=0)))
        here = weights[:, split.test.rows]
        drawn.append(100 * (here @ split.test.scores[:, best]) / here.sum(axis=1))
    figure = finished().methods["best_single"].figures["accuracy"]
    np.testing.assert_allclose(figure.draws, np.mean(drawn, axis=0))


def test_the_order_of_the_models_changes_nothing() -> None:
    order = np.array([2, 0, 1, 3])
    table = with_columns(world(), order)
    pool = Pool(tuple(SMALL[k] for k in order[:3]), LARGE)
    other = replay(recorded_of(table, pool), seeds=1, draws=DRAWS)
    for name in set(METHODS) - DRAWN_BY_ORDER:
        for figure, drawn in finished_once().methods[name].figures.items():
            found = other.methods[name].figures[figure]
            assert found.value == pytest.approx(drawn.value, nan_ok=True, **ALIKE), (name, figure)
            np.testing.assert_allclose(found.draws, drawn.draws, atol=1e-6, err_msg=f"{name} {figure}")


def test_the_order_of_models_without_costs_changes_nothing() -> None:
    order = np.array([3, 1, 0, 2])
    tables = [
        replace(table, costs=np.zeros_like(table.costs)) for table in (world(), with_columns(world(), order))
    ]
    one, two = (quickly(recorded_of(table, Pool(table.models))) for table in tables)
    for name in set(one.methods) - DRAWN_BY_ORDER - {"cheapest", "avengers_pro"}:
        for figure in ("area", "small_accuracy", "accuracy"):
            expected = one.methods[name].figures[figure].value
            assert two.methods[name].figures[figure].value == pytest.approx(expected), (name, figure)


def test_the_unit_of_cost_changes_no_area() -> None:
    table = world()
    dear = replay(recorded_of(replace(table, costs=table.costs * 1_000)), seeds=1, draws=DRAWS)
    for name in METHODS:
        for figure in ("area", "small_accuracy", "audc", "qnc", "aiq_by_largest", "apgr", "routing_accuracy"):
            if figure in finished_once().methods[name].figures:
                expected = finished_once().methods[name].figures[figure].value
                value = dear.methods[name].figures[figure].value
                assert value == pytest.approx(expected, nan_ok=True, **ALIKE), (name, figure)


def test_two_runs_with_one_seed_are_one() -> None:
    again = replay(recorded_of(world()), seeds=1, draws=DRAWS)
    for name, method in finished_once().methods.items():
        for figure, drawn in method.figures.items():
            np.testing.assert_array_equal(again.methods[name].figures[figure].draws, drawn.draws)
        np.testing.assert_array_equal(again.methods[name].curve, method.curve)


def test_shuffled_labels_leave_us_with_the_blind_mix() -> None:
    found = replay(
        shuffled(recorded_of(world(1_200)), seed=0),
        methods={name: METHODS[name] for name in ("pinnace", "content_blind")},
        seeds=1,
        draws=DRAWS,
    )
    assert lead(found, "pinnace", "content_blind", "area").value >= -0.3


def test_fewer_rows_teach_less_and_test_as_much() -> None:
    recorded = recorded_of(world())
    cut, whole = quickly(recorded, rows=50), quickly(recorded)
    assert cut.test_rows == whole.test_rows
    assert areas(cut)["knn40"] < areas(whole)["knn40"]
    with pytest.raises(TableError, match=r"at least 50 rows to learn from .* got 20 and"):
        quickly(recorded, rows=20)


def test_a_paired_interval_is_narrower_than_that_of_two_that_are_not() -> None:
    found = finished()
    paired = lead(found, "knn40", "knn100", "area")
    one, two = (found.methods[name].figures["area"].interval() for name in ("knn40", "knn100"))
    assert paired.value == pytest.approx(one.value - two.value)
    assert paired.high - paired.low < (one.high - two.low) - (one.low - two.high)
    unpaired = np.hypot(one.high - one.low, two.high - two.low)
    assert paired.high - paired.low < 0.8 * unpaired


def test_a_method_leads_itself_by_nothing() -> None:
    found = lead(finished(), "knn40", "knn40", "area")
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_the_best_peer_is_a_peer_and_the_best() -> None:
    found = finished()
    peers = {n: a for n, a in areas(found).items() if found.methods[n].method.kind == "peer"}
    assert best_peer(found, "area") == max(peers, key=lambda name: peers[name])


def test_a_foreign_router_has_its_hand_computed_accuracy_and_is_a_rival() -> None:
    recorded = recorded_of(world())
    best = recorded.scores.argmax(axis=1)
    theirs = foreign("theirs", [recorded.pool.models[k] for k in best], recorded)
    found = quickly_with(recorded, theirs)
    rows = [hash_split(recorded, seed).test.rows for seed in range(SEEDS)]
    expected = np.mean([100 * recorded.scores[test].max(axis=1).mean() for test in rows])
    assert found.methods["theirs"].figures["accuracy"].value == pytest.approx(expected)
    assert best_peer(found, "area") == "theirs"


def quickly_with(recorded: Recorded, theirs: object) -> Replay:
    methods = {"knn40": METHODS["knn40"], "theirs": theirs}
    return replay(recorded, methods=methods, seeds=SEEDS, draws=DRAWS)  # type: ignore[arg-type]


def test_one_small_model_and_a_large_one() -> None:
    found = quickly(recorded_of(world(), Pool(("small:a",), LARGE)))
    assert len(set(small_accuracies(found).values())) == 1
    assert found.methods["knn40"].figures["apgr"].value > 0.5
    assert found.methods["oracle"].figures["apgr"].value >= found.methods["knn40"].figures["apgr"].value


def test_without_a_large_model_there_is_no_pair() -> None:
    found = quickly(recorded_of(world(), Pool(SMALL)))
    assert "routellm" not in found.methods
    assert not {"pgr", "apgr", "cpt50", "cpt80"} & set(found.methods["knn40"].figures)
    assert areas(found)["knn40"] > areas(found)["content_blind"]
    assert set(usable_methods(recorded_of(world()), METHODS)) == set(METHODS)


@pytest.mark.parametrize("cost", [0.0, 0.001])
def test_where_all_models_cost_the_same_the_area_is_the_accuracy(cost: float) -> None:
    table = world()
    found = quickly(recorded_of(replace(table, costs=np.full_like(table.costs, cost))))
    for name, method in found.methods.items():
        assert method.figures["area"].value == pytest.approx(method.figures["accuracy"].value), name
        np.testing.assert_allclose(
            method.figures["area"].draws, method.figures["accuracy"].draws, atol=1e-9, err_msg=name
        )
    assert areas(found)["oracle"] == max(areas(found).values())


def test_each_method_of_each_split_is_told() -> None:
    told: list[None] = []
    methods = {name: METHODS[name] for name in ("knn40", "content_blind")}
    replay(recorded_of(world()), methods=methods, seeds=3, draws=10, on_done=lambda: told.append(None))
    assert len(told) == 6


def test_single_models_are_measured_on_all_rows() -> None:
    table = world()
    for column, model in enumerate(POOL.models):
        cost, quality = finished().singles[model]
        assert cost == pytest.approx(table.costs[:, column].mean())
        assert quality == pytest.approx(100 * table.scores[:, column].mean())
