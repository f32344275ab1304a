"""Generators on CPU that can be wound back."""

import pytest

from pinnace.models.engine_seeds import Rewindable

torch = pytest.importorskip("torch")


def test_winding_back_begins_again() -> None:
    generators = Rewindable({3: torch.Generator().manual_seed(7)})
    first = torch.rand(4, generator=generators[3])
    found = generators.get(3)
    with pytest.raises(RuntimeError, match="offset"):
        generators[3].set_offset(0)  # what vLLM does, and why this exists
    found.set_offset(found.get_offset() - 4)
    assert torch.equal(torch.rand(4, generator=generators[3]), first)


def test_rows_without_a_seed_have_none() -> None:
    assert Rewindable().get(1) is None
    assert Rewindable().get(1, 5) == 5
    assert not Rewindable()
