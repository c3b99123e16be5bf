"""Padding rules against JAX's own and against sizes worked out by hand."""

import itertools

import pytest
from jax import lax

from mobilenet.ops.padding import explicit_padding, output_size

GRID = list(itertools.product(range(1, 20), (1, 2, 3, 5), (1, 2, 3), (1, 2, 4)))


def test_same_is_the_rule_of_lax():
    for size, kernel_size, stride, dilation in GRID:
        extent = dilation * (kernel_size - 1) + 1
        expected = tuple(lax.padtype_to_pads((size,), (extent,), (stride,), "SAME")[0])
        assert explicit_padding(size, kernel_size, stride, dilation, "same") == expected
        assert output_size(size, kernel_size, stride, dilation, "same") == -(-size // stride)


@pytest.mark.parametrize(
    ("size", "kernel_size", "stride", "dilation", "padding", "zeros", "outputs"),
    [
        (224, 3, 2, 1, "same", (0, 1), 112),
        (224, 3, 2, 1, "symmetric", (1, 1), 112),
        (75, 3, 2, 1, "same", (1, 1), 38),
        (75, 3, 2, 1, "symmetric", (1, 1), 38),
        (14, 3, 1, 2, "same", (2, 2), 14),
        (14, 3, 1, 4, "symmetric", (4, 4), 14),
        (7, 1, 2, 1, "same", (0, 0), 4),
        (7, 2, 1, 1, "same", (0, 1), 7),
        (7, 2, 1, 1, "symmetric", (0, 0), 6),
    ],
)
def test_sizes_worked_out_by_hand(size, kernel_size, stride, dilation, padding, zeros, outputs):
    assert explicit_padding(size, kernel_size, stride, dilation, padding) == zeros
    assert output_size(size, kernel_size, stride, dilation, padding) == outputs


def test_an_unknown_padding_names_the_allowed_ones():
    with pytest.raises(ValueError, match=r"'valid'; it must be one of same, symmetric"):
        explicit_padding(7, 3, 1, 1, "valid")


def test_numbers_below_one_are_named():
    with pytest.raises(ValueError, match="stride is 0"):
        output_size(7, 3, 0, 1, "same")


def test_a_kernel_larger_than_the_padded_input_is_refused():
    with pytest.raises(ValueError, match="does not fit on 1 pixels"):
        output_size(1, 4, 1, 1, "symmetric")
