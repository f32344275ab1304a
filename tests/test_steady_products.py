"""A row's product is the same whatever is beside it, with kernels that sum few rows otherwise."""

import importlib
from typing import Any

import pytest

from pinnace.models.steady_products import (
    MOST_ROWS,
    SteadyProduct,
    fewest_rows,
    filled_up,
    steady,
    steady_layers,
)

torch: Any = importlib.import_module("torch")
WEIGHT = torch.randn(3, 7, generator=torch.Generator().manual_seed(1))


class FakeKernel:
    """A product that is a little off for fewer than `steady_from` rows."""

    def __init__(self, steady_from: int) -> None:
        self.steady_from = steady_from
        self.sizes: set[int] = set()

    def __call__(self, x: Any, weight: Any, bias: Any) -> Any:
        self.sizes.add(len(x))
        off = 0.0 if len(x) >= self.steady_from else 1e-3
        return (x.double() @ weight.double().T + off).float()


@pytest.mark.parametrize("steady_from", [1, 2, 5, MOST_ROWS])
def test_so_many_rows_are_found_to_be_enough(steady_from: int) -> None:
    assert fewest_rows(FakeKernel(steady_from), WEIGHT, 7, torch.float32) == steady_from


def test_a_kernel_that_never_settles_is_left_as_it_is() -> None:
    assert fewest_rows(FakeKernel(200), WEIGHT, 7, torch.float32) == 1


@pytest.mark.parametrize("rows", [0, 1, 3, 5, 9])
def test_a_row_alone_is_as_among_many(rows: int) -> None:
    kernel = FakeKernel(5)
    x = torch.randn(9, 7)
    found = SteadyProduct(kernel, 5)(x[:rows], WEIGHT, None)
    assert torch.equal(found, kernel(x, WEIGHT, None)[:rows])
    assert min(kernel.sizes) >= 5


def test_a_kernel_that_is_steady_stays_and_each_length_is_tried_once() -> None:
    calm, odd, again = FakeKernel(1), FakeKernel(4), FakeKernel(4)
    assert steady(calm, WEIGHT, 7, torch.float64) is calm
    long = WEIGHT.repeat(1, 2)
    made = steady(odd, long, 14, torch.float64)
    assert isinstance(made, SteadyProduct)
    assert made.fewest == 4
    assert isinstance(steady(again, long, 14, torch.float64), SteadyProduct)
    assert not again.sizes


def fake_layer(kernel: Any, outputs: int, inputs: int) -> Any:
    layer = torch.nn.Module()
    layer.weight = torch.nn.Parameter(torch.ones(outputs, inputs), requires_grad=False)
    layer.cpu_linear, layer.params_dtype = kernel, torch.float16
    layer.output_size_per_partition, layer.input_size_per_partition = outputs, inputs
    return layer


def test_all_layers_of_one_length_take_what_the_worst_of_them_needs_and_no_head_is_touched() -> None:
    head = torch.nn.Module()
    head.cpu_linear = kernel = FakeKernel(3)
    layers = [
        fake_layer(FakeKernel(1), 2, 9),
        fake_layer(FakeKernel(3), 3, 9),
        fake_layer(FakeKernel(1), 3, 8),
    ]
    model = torch.nn.ModuleList([*layers, head])
    steady_layers(model)
    steady_layers(model)
    found = [getattr(layer.cpu_linear, "fewest", None) for layer in layers]
    assert found == [3, 3, None]
    assert all(not isinstance(getattr(layer.cpu_linear, "linear", None), SteadyProduct) for layer in layers)
    assert head.cpu_linear is kernel


def test_rows_are_filled_up_with_empty_ones() -> None:
    wide = filled_up(torch.ones(2, 3), 4)
    assert wide.tolist() == [[1.0] * 3] * 2 + [[0.0] * 3] * 2
