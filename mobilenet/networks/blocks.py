"""From rows, as the papers' tables print them, to concrete blocks of layers.

V1 is arXiv 1704.04861, V2 is arXiv 1801.04381, slim is tensorflow/models research/slim.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence


@dataclasses.dataclass(frozen=True)
class ConvRow:
    """An ordinary convolution, with normalisation and activation."""

    name: str
    channels: int
    kernel_size: int
    stride: int = 1
    min_width: float = 0.0  # a smaller width multiplier does not shrink this row
    max_width: float = math.inf  # a larger one does not widen it


@dataclasses.dataclass(frozen=True)
class SeparableRow:
    """V1 table 1: `repeats` depthwise separable convolutions, or full ones (V1 table 4)."""

    channels: int
    stride: int
    repeats: int = 1
    convolution: str = "separable"


@dataclasses.dataclass(frozen=True)
class InvertedResidualRow:
    """V2 table 2: t, c, n, s. The stride is that of the first of the `repeats` blocks."""

    expansion: float
    channels: int
    repeats: int
    stride: int
    bottleneck: str = "linear"
    shortcut: str = "bottleneck"


Row = ConvRow | SeparableRow | InvertedResidualRow


@dataclasses.dataclass(frozen=True)
class Layer:
    """One convolution with its normalisation and activation, in concrete numbers."""

    name: str
    operator: str  # conv | depthwise
    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int
    dilation: int
    activation: str  # relu6 | relu | linear


@dataclasses.dataclass(frozen=True)
class Block:
    """Layers in sequence, with at most one shortcut.

    `shortcut` is what this block adds: `bottleneck` its own input to its output (V2 figure 3b),
    `expansion` the previous block's expansion to its own, before the activation, `none` nothing.
    """

    name: str
    layers: tuple[Layer, ...]
    shortcut: str = "none"

    @property
    def in_channels(self) -> int:
        return self.layers[0].in_channels

    @property
    def out_channels(self) -> int:
        return self.layers[-1].out_channels

    @property
    def stride(self) -> int:
        return math.prod(layer.stride for layer in self.layers)


def round_width_v1(channels: float) -> int:
    """Truncates to a whole number of at least 8 channels (slim nets/mobilenet_v1.py)."""
    return max(int(channels), 8)


def round_width_v2(channels: float) -> int:
    """Rounds to a multiple of 8 that loses at most 10 % (slim nets/mobilenet/mobilenet.py)."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


@dataclasses.dataclass
class _Grid:
    """How densely the input has been sampled so far."""

    output_stride: int
    stride: int = 1
    dilation: int = 1

    def advance(self, stride: int) -> tuple[int, int]:
        """Returns the stride and dilation of a layer; a stride too many becomes dilation.

        The layer that loses its stride keeps the old dilation: only later ones see a denser grid
        (slim nets/mobilenet/mobilenet.py, `rate`).
        """
        dilation = self.dilation
        if self.stride * stride > self.output_stride:
            self.dilation *= stride
            return 1, dilation
        self.stride *= stride
        return stride, dilation


def expand_rows(
    rows: Sequence[Row],
    *,
    width: float,
    rounding: Callable[[float], int],
    output_stride: int,
    activation: str,
) -> Iterator[Block]:
    """Yields the concrete blocks of the rows: widths scaled, strides and dilations settled.

    Args:
      rows: with the channels of width 1.
      width: the width multiplier.
      rounding: turns scaled channels into a whole number of them.
      output_stride: input pixels per output pixel at most; further strides become dilation.
      activation: of every layer but linear projections.
    """

    def scale(channels: int, min_width: float = 0.0, max_width: float = math.inf) -> int:
        return rounding(channels * min(max(width, min_width), max_width))

    grid = _Grid(output_stride)
    channels, number = 3, 0
    previous: Block | None = None
    for row in rows:
        if isinstance(row, ConvRow):
            out = scale(row.channels, row.min_width, row.max_width)
            stride, rate = grid.advance(row.stride)
            rate = rate if row.kernel_size > 1 else 1
            layer = Layer("conv", "conv", channels, out, row.kernel_size, stride, rate, activation)
            previous = Block(row.name, (layer,))
            yield previous
            channels = out
            continue
        out = scale(row.channels)
        for repeat in range(row.repeats):
            number += 1
            stride, rate = grid.advance(row.stride if repeat == 0 else 1)
            if isinstance(row, SeparableRow):
                layers = _separable_layers(row, channels, out, stride, rate, activation)
                previous = Block(f"block_{number}", layers)
            else:
                layers = _inverted_residual_layers(row, channels, out, stride, rate, activation)
                shortcut = _shortcut(row.shortcut, layers, previous)
                previous = Block(f"block_{number}", layers, shortcut)
            yield previous
            channels = out


def _separable_layers(
    row: SeparableRow, channels: int, out: int, stride: int, dilation: int, activation: str
) -> tuple[Layer, ...]:
    if row.convolution == "full":
        return (Layer("conv", "conv", channels, out, 3, stride, dilation, activation),)
    return (
        Layer("depthwise", "depthwise", channels, channels, 3, stride, dilation, activation),
        Layer("pointwise", "conv", channels, out, 1, 1, 1, activation),
    )


def _inverted_residual_layers(
    row: InvertedResidualRow, channels: int, out: int, stride: int, dilation: int, activation: str
) -> tuple[Layer, ...]:
    # slim rounds the inner width as it rounds the others (conv_blocks.py expand_input_by_factor).
    inner = channels if row.expansion == 1 else round_width_v2(channels * row.expansion)
    expand = Layer("expand", "conv", channels, inner, 1, 1, 1, activation)
    return (
        *((expand,) if row.expansion > 1 else ()),
        Layer("depthwise", "depthwise", inner, inner, 3, stride, dilation, activation),
        Layer("project", "conv", inner, out, 1, 1, 1, row.bottleneck),
    )


def _shortcut(kind: str, layers: Sequence[Layer], previous: Block | None) -> str:
    """The shortcut that a block can have: `kind` where the shapes agree, else none.

    The expansions of two neighbours agree where the first of them keeps size and channels.
    """
    if kind == "bottleneck":
        keeps = all(layer.stride == 1 for layer in layers)
        return kind if keeps and layers[0].in_channels == layers[-1].out_channels else "none"
    if kind == "expansion" and previous is not None:
        expanded = (layers[0].name, previous.layers[0].name) == ("expand", "expand")
        same = layers[0].out_channels == previous.layers[0].out_channels
        return kind if expanded and same and previous.stride == 1 else "none"
    return "none"
