"""Rows that meet, against a convolution written as a loop."""

import pytest

from mobilenet.ops.fused.geometry import make_axis

AXES = [
    (size, taps, stride, dilation, padding)
    for size in (6, 12)
    for taps, dilation in ((3, 1), (3, 2), (5, 1))
    for stride in (1, 2)
    for padding in ("same", "symmetric")
]


@pytest.mark.parametrize("numbers", AXES)
def test_phases_are_the_pairs_that_meet(numbers):
    axis = make_axis(*numbers)
    size, taps, stride, dilation, _ = numbers
    meet = {
        (seen, tap, output)
        for output in range(axis.outputs)
        for tap in range(taps)
        if 0 <= (seen := output * stride + tap * dilation - axis.before) < size
    }
    found = {
        (cell * stride + phase, tap, cell + offset)
        for cell in range(size // stride)
        for phase, pairs in enumerate(axis.phases())
        for tap, offset in pairs
        if 0 <= cell + offset < axis.outputs
    }
    assert found == meet
    first, last = axis.offsets()
    assert all(first <= offset <= last for pairs in axis.phases() for _, offset in pairs), (
        "the ring would be too short"
    )


@pytest.mark.parametrize("numbers", AXES)
def test_lookahead_is_the_least_that_suffices(numbers):
    axis = make_axis(*numbers)
    needed = [
        (output * axis.stride + axis.reach - axis.before) // axis.stride - output
        for output in range(axis.outputs)
    ]
    assert axis.lookahead == max(*needed, 0)
