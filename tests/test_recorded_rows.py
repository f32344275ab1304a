"""The rows of a replay, and how they are split."""

from dataclasses import replace

import numpy as np
import pytest
from replay_worlds import LARGE, POOL, SMALL, recorded_of, vectors_of, world

from pinnace.errors import TableError
from pinnace.eval.pool import Pool
from pinnace.eval.recorded_rows import hash_split, record, shuffled, split_at, usable_rows
from pinnace.eval.table import OutcomeTable

NOTHING_DROPPED = {"not run by every model": 0, "without a cost": 0, "a prompt that comes again": 0}


def flawed() -> OutcomeTable:
    """Row 1 was not run by the large model, row 2 has no cost, rows 4 and 5 ask what row 3 asked."""
    table = world(20)
    scores, costs, prompts = table.scores.copy(), table.costs.copy(), list(table.prompts)
    scores[1, 3], costs[2, 0] = np.nan, np.nan
    prompts[4], prompts[5] = prompts[3], f"  {prompts[3].replace(' ', '   ')}\n"
    return replace(table, scores=scores, costs=costs, prompts=tuple(prompts))


def test_rows_that_cannot_be_replayed_are_dropped_and_counted() -> None:
    rows, dropped = usable_rows(flawed(), POOL)
    assert rows.tolist() == [0, 3, *range(6, 20)]
    assert dropped == {"not run by every model": 1, "without a cost": 1, "a prompt that comes again": 2}


def test_repeats_are_kept_where_a_protocol_keeps_them() -> None:
    rows, dropped = usable_rows(flawed(), POOL, keep_repeats=True)
    assert rows.tolist() == [0, *range(3, 20)]
    assert dropped["a prompt that comes again"] == 0


def test_only_models_of_the_pool_count() -> None:
    rows, dropped = usable_rows(flawed(), Pool(("small:b", "small:c")))
    assert rows.tolist() == [0, 1, 2, 3, *range(6, 20)]
    assert dropped["without a cost"] == 0


def test_a_repeat_counts_only_where_its_first_can_be_used() -> None:
    table = world(20)
    scores, prompts = table.scores.copy(), list(table.prompts)
    scores[0, 0], prompts[7] = np.nan, prompts[0]
    rows, _ = usable_rows(replace(table, scores=scores, prompts=tuple(prompts)), POOL)
    assert rows.tolist() == list(range(1, 20))


def test_a_table_without_costs_keeps_its_rows_and_costs_nothing() -> None:
    table = world()
    table = replace(table, costs=np.full_like(table.costs, np.nan))
    recorded = recorded_of(table)
    assert len(recorded) == len(table)
    assert not recorded.costs.any()
    assert recorded.dropped == NOTHING_DROPPED


def test_costs_of_other_tasks_do_not_count() -> None:
    table = world()
    costs = np.where(np.array(table.tasks)[:, None] == "algebra", np.nan, table.costs)
    rows, dropped = usable_rows(replace(table, costs=costs), POOL, ("algebra",))
    assert len(rows) == table.tasks.count("algebra")
    assert dropped == NOTHING_DROPPED


def test_tasks_are_chosen_and_an_unknown_one_is_named() -> None:
    rows, dropped = usable_rows(world(), POOL, ("poetry", "capitals"))
    assert {world().tasks[int(row)] for row in rows} == {"poetry", "capitals"}
    assert dropped == NOTHING_DROPPED
    with pytest.raises(TableError, match=r"got \['cooking'\]; it has algebra, capitals, poetry"):
        usable_rows(world(), POOL, ("poetry", "cooking"))


def test_no_row_left_says_why() -> None:
    table = world(20)
    costs = table.costs.copy()
    costs[:, 1] = np.nan
    with pytest.raises(TableError, match="got none; left out: 20 without a cost"):
        usable_rows(replace(table, costs=costs), POOL)


def test_recorded_columns_follow_the_pool() -> None:
    table, pool = world(), Pool(("small:c", "small:a"), LARGE)
    recorded = recorded_of(table, pool)
    np.testing.assert_array_equal(recorded.scores, table.scores[:, [2, 0, 3]])
    np.testing.assert_array_equal(recorded.costs, table.costs[:, [2, 0, 3]])
    assert (recorded.small.tolist(), recorded.large) == ([0, 1], 2)
    assert recorded_of(table, Pool(SMALL)).large is None


def test_recorded_rows_know_their_places_in_the_table() -> None:
    table = flawed()
    rows, dropped = usable_rows(table, POOL)
    recorded = record(table, POOL, rows, dropped, vectors_of(table.prompts[r] for r in rows.tolist()))
    assert [table.ids[r] for r in recorded.source.tolist()] == list(recorded.ids)
    assert [table.prompts[r] for r in recorded.source.tolist()] == list(recorded.prompts)


def test_rows_of_a_table_keep_what_belongs_together() -> None:
    table = replace(world(), splits=tuple(f"s{n}" for n in range(300)))
    part = table.take([7, 2])
    assert (part.ids, part.tasks, part.splits) == (
        ("r7", "r2"),
        (table.tasks[7], table.tasks[2]),
        ("s7", "s2"),
    )
    np.testing.assert_array_equal(part.scores, table.scores[[7, 2]])


def test_a_split_parts_all_rows_about_seven_to_three() -> None:
    recorded = recorded_of(world())
    split = hash_split(recorded, 0)
    both = np.sort(np.concatenate([split.train.rows, split.test.rows]))
    assert both.tolist() == list(range(300))
    assert 0.6 < len(split.train.rows) / 300 < 0.8
    np.testing.assert_array_equal(split.test.scores, recorded.scores[split.test.rows])
    assert [recorded.prompts[r] for r in split.train.rows.tolist()] == list(split.train.prompts)
    np.testing.assert_array_equal(split.train.seen.vectors, recorded.seen.vectors[split.train.rows])


def test_a_rows_part_does_not_depend_on_the_other_rows() -> None:
    whole, few = (
        hash_split(recorded_of(world()), 3),
        hash_split(recorded_of(world().take(range(150))), 3),
    )
    assert few.train.rows.tolist() == [row for row in whole.train.rows.tolist() if row < 150]


def test_seeds_split_differently_and_a_seed_always_alike() -> None:
    recorded = recorded_of(world())
    zero, again, one = (hash_split(recorded, seed).test.rows.tolist() for seed in (0, 0, 1))
    assert zero == again != one


def test_rows_limit_what_is_learnt_from_and_nothing_else() -> None:
    recorded = recorded_of(world())
    whole, cut, more = (hash_split(recorded, 0, rows=rows) for rows in (None, 60, 100))
    assert (len(cut.train.rows), len(cut.train.scores), len(cut.train.seen.vectors)) == (60, 60, 60)
    assert cut.test.rows.tolist() == whole.test.rows.tolist()
    assert set(cut.train.rows.tolist()) < set(more.train.rows.tolist()) < set(whole.train.rows.tolist())
    assert hash_split(recorded, 0, rows=10_000).train.rows.tolist() == whole.train.rows.tolist()


def test_too_few_rows_to_learn_from_are_refused_with_their_number() -> None:
    recorded = recorded_of(world())
    with pytest.raises(TableError, match=r"at least 50 rows to learn from and 1 to test on, got 49 and"):
        hash_split(recorded, 0, rows=49)
    with pytest.raises(TableError, match="got 300 and 0"):
        split_at(recorded, np.arange(300), np.arange(0), 0)


def test_shuffled_labels_keep_the_models_means_and_lose_the_rows() -> None:
    recorded = recorded_of(world())
    mixed = shuffled(recorded, 0)
    np.testing.assert_allclose(mixed.scores.mean(axis=0), recorded.scores.mean(axis=0))
    assert (mixed.scores != recorded.scores).any()
    rows, known = ([tuple(row) for row in found.scores.tolist()] for found in (mixed, recorded))
    assert sorted(rows) == sorted(known)
    np.testing.assert_array_equal(mixed.costs, recorded.costs)
