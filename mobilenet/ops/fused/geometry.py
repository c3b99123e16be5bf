"""Which rows and columns of the expansion and of the result meet in a depthwise convolution."""

from typing import NamedTuple

from mobilenet.ops.depthwise import phases
from mobilenet.ops.padding import explicit_padding, output_size

Taps = list[tuple[int, int]]


class Axis(NamedTuple):
    """One axis of the image, in pixels; `stride` inputs make a cell, and each output has one."""

    size: int
    taps: int
    stride: int
    dilation: int
    before: int  # zeros
    outputs: int

    @property
    def reach(self) -> int:
        """How far the last tap lies behind the first."""
        return (self.taps - 1) * self.dilation

    @property
    def lookahead(self) -> int:
        """How many cells behind its own an output must see."""
        return max(0, -(-(self.reach - self.before - self.stride + 1) // self.stride))

    @property
    def padded(self) -> int:
        """The inputs and the zeros that the outputs see."""
        return max((self.outputs - 1) * self.stride + self.reach + 1, self.before + self.size)

    def phases(self) -> list[Taps]:
        """For each input of a cell: the taps that see it, each with the cell of its output."""
        return phases(self.taps, self.stride, self.dilation, self.before)

    def offsets(self) -> tuple[int, int]:
        """The first and the last cell in `phases`, and 0 between them."""
        offsets = [offset for phase in self.phases() for _, offset in phase]
        return min(*offsets, 0), max(*offsets, 0)


class Geometry(NamedTuple):
    rows: Axis
    columns: Axis

    @property
    def taps(self) -> int:
        return self.rows.taps * self.columns.taps


def make_axis(size: int, taps: int, stride: int, dilation: int, padding: str) -> Axis:
    """Raises ValueError as `mobilenet.ops.padding` does."""
    before, _ = explicit_padding(size, taps, stride, dilation, padding)
    outputs = output_size(size, taps, stride, dilation, padding)
    return Axis(size, taps, stride, dilation, before, outputs)
