"""Pools as people write them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from replay_worlds import LARGE, POOL, SMALL, with_columns, world

from pinnace.errors import TableError
from pinnace.eval.pool import Pool, parse_pool, whole_pool
from pinnace.eval.table import OutcomeTable


def named(*models: str) -> OutcomeTable:
    shape = (1, len(models))
    return OutcomeTable(("r",), ("",), ("p",), models, np.ones(shape), np.full(shape, np.nan))


@pytest.mark.parametrize(
    ("text", "pool"),
    [
        ("a", Pool(("a",))),
        ("a,b", Pool(("a", "b"))),
        (" a , b : big ", Pool(("a", "b"), "big")),
        ("b,a:big", Pool(("b", "a"), "big")),
        ("qwen:7b", Pool(("qwen:7b",))),
        ("qwen:7b:big", Pool(("qwen:7b",), "big")),
        ("a,qwen:7b", Pool(("a", "qwen:7b"))),
        ("qwen:7b,llama:8b", Pool(("qwen:7b", "llama:8b"))),
        ("qwen:7b,llama:8b:gpt:4", Pool(("qwen:7b", "llama:8b"), "gpt:4")),
        ("a:gpt:4", Pool(("a",), "gpt:4")),
        ("qwen", Pool(("qwen",))),
        ("qwen:b", Pool(("qwen",), "b")),
    ],
)
def test_a_pool_is_read(text: str, pool: Pool) -> None:
    table = named("a", "b", "big", "qwen", "qwen:7b", "llama:8b", "gpt:4")
    assert parse_pool(text, table) == pool


@pytest.mark.parametrize(
    ("text", "got", "hint"),
    [
        ("small:a,smal:b:large", "'smal:b'", "did you mean 'small:b'?"),
        ("small:a:larg", "'larg'", "did you mean 'large'?"),
        ("small:a,,large", "''", "it has small:a, small:b, small:c, large"),
        ("zzz", "'zzz'", "it has small:a, small:b, small:c, large"),
        ("small:a:", "''", "it has"),
    ],
)
def test_an_unknown_model_names_the_nearest(text: str, got: str, hint: str) -> None:
    with pytest.raises(TableError) as raised:
        parse_pool(text, world())
    assert str(raised.value).startswith(f"--pool: expected models of the table, got {got}")
    assert hint in str(raised.value)


@pytest.mark.parametrize("text", ["small:a,small:a", "small:a,large:large"])
def test_a_model_that_comes_twice_is_refused(text: str) -> None:
    with pytest.raises(TableError, match="expected every model once"):
        parse_pool(text, world())


@given(st.lists(st.text("ab:. -", min_size=1).map(str.strip).filter(bool), min_size=2, unique=True))
def test_every_pool_with_known_names_is_read_as_known_names(models: list[str]) -> None:
    table = named(*models)
    pool = parse_pool(",".join(models[:-1]) + ":" + models[-1], table)
    assert set(pool.models) <= set(models)


def test_the_models_of_a_pool_have_the_large_one_last() -> None:
    assert POOL.models == (*SMALL, LARGE)
    assert Pool(SMALL).models == SMALL


def test_by_default_the_dearest_model_is_the_large_one() -> None:
    assert whole_pool(with_columns(world(), np.array([3, 0, 2]))) == Pool(("small:a", "small:c"), LARGE)


def test_without_costs_no_model_is_the_large_one() -> None:
    table = world()
    assert whole_pool(replace(table, costs=np.full_like(table.costs, np.nan))) == Pool(table.models)
    some = table.costs.copy()
    some[:, 0] = np.nan
    assert whole_pool(replace(table, costs=some)) == Pool(table.models)


def test_one_model_is_a_small_one() -> None:
    assert whole_pool(with_columns(world(), np.array([3]))) == Pool((LARGE,))
