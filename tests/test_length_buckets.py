"""Batches have every row once, alike in length, in the order of their seed."""

from hypothesis import given
from hypothesis import strategies as st

from pinnace.models.training.length_buckets import batches_of, pieces_of

lengths_drawn = st.lists(st.integers(1, 300), min_size=1, max_size=400)


@given(lengths_drawn, st.integers(1, 40), st.integers(0, 5), st.integers(0, 3))
def test_an_epoch_has_every_row_once(lengths: list[int], batch: int, seed: int, epoch: int) -> None:
    batches = batches_of(lengths, batch, seed=seed, epoch=epoch)
    assert sorted(i for each in batches for i in each) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // batch)
    assert all(len(each) <= batch for each in batches)


@given(lengths_drawn, st.integers(1, 500))
def test_pieces_stay_within_the_tokens_unless_a_row_alone_is_longer(lengths: list[int], most: int) -> None:
    pieces = list(pieces_of(range(len(lengths)), lengths, most))
    assert sorted(i for piece in pieces for i in piece) == list(range(len(lengths)))
    for piece in pieces:
        assert len(piece) == 1 or len(piece) * max(lengths[i] for i in piece) <= most


def test_the_seed_and_the_epoch_decide_the_order() -> None:
    lengths = [i % 37 for i in range(400)]
    first = batches_of(lengths, 8, seed=0, epoch=0)
    assert first == batches_of(lengths, 8, seed=0, epoch=0)
    assert first != batches_of(lengths, 8, seed=0, epoch=1)
    assert first != batches_of(lengths, 8, seed=1, epoch=0)


def test_rows_of_like_length_are_together() -> None:
    lengths = [i * 7 % 100 for i in range(640)]
    spread = [
        max(lengths[i] for i in each) - min(lengths[i] for i in each)
        for each in batches_of(lengths, 16, seed=0, epoch=0)
    ]
    assert sum(spread) / len(spread) < 15  # in batches drawn at random it is about 90
