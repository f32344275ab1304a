"""Batches of rows of like length, in an order that a seed decides. Pure: knows lengths, not rows."""

import random
from collections.abc import Iterator, Sequence

BATCHES_TOGETHER = 16
"""Batches that are sorted by length together: more pads less, fewer leave the order more to chance."""


def batches_of(lengths: Sequence[int], batch: int, *, seed: int, epoch: int) -> list[tuple[int, ...]]:
    """One epoch: every index of `lengths` in one batch; indices of like length in the same.

    :param seed: with `epoch` it decides who is with whom and in what order.
    """
    draw = random.Random(f"{seed}/{epoch}")  # noqa: S311
    order = list(range(len(lengths)))
    draw.shuffle(order)
    together = batch * BATCHES_TOGETHER
    batches: list[tuple[int, ...]] = []
    for start in range(0, len(order), together):
        near = sorted(order[start : start + together], key=lambda i: lengths[i])
        batches += [tuple(near[at : at + batch]) for at in range(0, len(near), batch)]
    draw.shuffle(batches)
    return batches


def pieces_of(items: Sequence[int], lengths: Sequence[int], most_tokens: int) -> Iterator[tuple[int, ...]]:
    """`items` in pieces of at most `most_tokens` when each is padded to its longest; a longer is alone."""
    piece: list[int] = []
    for item in sorted(items, key=lambda i: lengths[i]):
        if piece and (len(piece) + 1) * lengths[item] > most_tokens:
            yield tuple(piece)
            piece = []
        piece.append(item)
    if piece:
        yield tuple(piece)
