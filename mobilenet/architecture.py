"""MobileNetV1 and MobileNetV2 as rows, as the papers print them, and every knob of the ablations.

`mobilenet_v1` and `mobilenet_v2` return an `Architecture`. Its `blocks` are the one description of
the network: the Flax modules, the cost model and the exporters are all built from them.

Sources: V1 is arXiv 1704.04861, V2 is arXiv 1801.04381, slim is tensorflow/models research/slim.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mobilenet.errors import UserError


@dataclasses.dataclass(frozen=True)
class ConvRow:
    """An ordinary convolution, with normalisation and activation."""

    name: str
    channels: int
    kernel_size: int
    stride: int = 1
    min_width: float = 0.0  # a smaller width multiplier does not shrink this row


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

# V1 table 1. The paper prints stride 2 for the last row too: a typo, its output is 7x7.
V1_ROWS: tuple[Row, ...] = (
    ConvRow("stem", 32, kernel_size=3, stride=2),
    SeparableRow(64, stride=1),
    SeparableRow(128, stride=2),
    SeparableRow(128, stride=1),
    SeparableRow(256, stride=2),
    SeparableRow(256, stride=1),
    SeparableRow(512, stride=2),
    SeparableRow(512, stride=1, repeats=5),
    SeparableRow(1024, stride=2),
    SeparableRow(1024, stride=1),
)

# V2 table 2. The last convolution does not shrink below width 1 (V2 section 4).
V2_ROWS: tuple[Row, ...] = (
    ConvRow("stem", 32, kernel_size=3, stride=2),
    InvertedResidualRow(1, 16, 1, 1),
    InvertedResidualRow(6, 24, 2, 2),
    InvertedResidualRow(6, 32, 3, 2),
    InvertedResidualRow(6, 64, 4, 2),
    InvertedResidualRow(6, 96, 3, 1),
    InvertedResidualRow(6, 160, 3, 2),
    InvertedResidualRow(6, 320, 1, 1),
    ConvRow("head", 1280, kernel_size=1, min_width=1.0),
)


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


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A network: its rows and all that turns them into concrete layers.

    Build it with `mobilenet_v1` or `mobilenet_v2`, which check every value.
    """

    name: str
    rows: tuple[Row, ...]
    rounding: Callable[[float], int]  # scaled channels to a whole number of them
    width: float
    resolution: int  # pixels, the side of the square input
    num_classes: int  # 0: no classifier, the pooled features come out
    activation: str
    padding: str
    output_stride: int
    dropout: float  # share of the pooled features dropped in training
    norm_epsilon: float
    norm_momentum: float  # share of the old moving statistics kept at each step
    norm_group_size: int | None  # images that are normalised together; None: the whole batch

    @functools.cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The network from the stem to the last convolution, in order."""
        return tuple(_expand_rows(self))

    @property
    def feature_channels(self) -> int:
        """Channels of the pooled features."""
        return self.blocks[-1].out_channels

    def endpoints(self) -> tuple[str, ...]:
        """Names of all activations that the built network can return, in order."""
        names = []
        for block in self.blocks:
            names += [f"{block.name}/{layer.name}" for layer in block.layers] + [block.name]
        return (*names, "pool", *(("logits",) if self.num_classes else ()))


def round_width_v1(channels: float) -> int:
    """Truncates to a whole number of at least 8 channels (slim nets/mobilenet_v1.py)."""
    return max(int(channels), 8)


def round_width_v2(channels: float) -> int:
    """Rounds to a multiple of 8 that loses at most 10 % (slim nets/mobilenet/mobilenet.py)."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def mobilenet_v1(
    width: float = 1.0,
    resolution: int = 224,
    num_classes: int = 1000,
    *,
    convolution: str = "separable",
    depth: str = "full",
    activation: str = "relu6",
    padding: str = "same",
    stem_stride: int = 2,
    output_stride: int = 32,
    dropout: float = 0.001,
    norm_epsilon: float = 0.001,
    norm_momentum: float = 0.9997,
    norm_group_size: int | None = None,
) -> Architecture:
    """MobileNetV1.

    The defaults of activation, dropout and normalisation are slim's (nets/mobilenet_v1.py): ReLU6
    where the paper says ReLU, dropout keeps .999, decay .9997, epsilon .001.

    Args:
      width: the width multiplier alpha.
      resolution: side of the square input in pixels.
      num_classes: 0 leaves the classifier out.
      convolution: `full` replaces each depthwise separable pair by one 3x3 convolution (table 4).
      depth: `shallow` leaves out the five 14x14x512 blocks (table 5).
      activation: `relu6` or `relu`.
      padding: `same` as TensorFlow pads, `symmetric` as PyTorch pads.
      stem_stride: 1 halves all strides, as is usual for inputs of 32 pixels.
      output_stride: input pixels per feature; below 32 later convolutions are dilated instead.
      dropout: share of the pooled features dropped in training.
      norm_epsilon: added to the variance.
      norm_momentum: share of the old moving statistics kept at each step.
      norm_group_size: images that are normalised together; None means the whole batch.

    Raises:
      UserError: a knob has a value that does not exist.
    """
    _check_choice("convolution", convolution, ("separable", "full"))
    _check_choice("depth", depth, ("full", "shallow"))
    _check_choice("activation", activation, ("relu6", "relu"))
    rows = tuple(
        dataclasses.replace(row, convolution=convolution) if isinstance(row, SeparableRow) else row
        for row in V1_ROWS
        if depth == "full" or not (isinstance(row, SeparableRow) and row.repeats == 5)
    )
    return _checked(
        Architecture(
            name="mobilenet_v1",
            rows=_with_stem_stride(rows, stem_stride),
            rounding=round_width_v1,
            width=width,
            resolution=resolution,
            num_classes=num_classes,
            activation=activation,
            padding=padding,
            output_stride=output_stride,
            dropout=dropout,
            norm_epsilon=norm_epsilon,
            norm_momentum=norm_momentum,
            norm_group_size=norm_group_size,
        )
    )


def mobilenet_v2(
    width: float = 1.0,
    resolution: int = 224,
    num_classes: int = 1000,
    *,
    expansion: float = 6.0,
    bottleneck: str = "linear",
    shortcut: str = "bottleneck",
    activation: str = "relu6",
    padding: str = "same",
    stem_stride: int = 2,
    output_stride: int = 32,
    dropout: float = 0.2,
    norm_epsilon: float = 0.001,
    norm_momentum: float = 0.997,
    norm_group_size: int | None = None,
) -> Architecture:
    """MobileNetV2.

    The defaults of dropout and normalisation are slim's (nets/mobilenet/mobilenet.py
    `training_scope`): dropout keeps .8, decay .997, epsilon .001.

    Args:
      expansion: t, the ratio of the inner to the input channels, of all blocks but the first,
        whose t stays 1 (table 2).
      bottleneck: `linear`, or `relu6` after the projection as well (figure 6a).
      shortcut: `bottleneck` joins the narrow ends of a block, `expansion` the wide inner tensors of
        one block and the next where those have equal shapes, `none` nothing (figure 6b). The paper
        gives no formula for `expansion`: we add before the activation, as ResNet does.
      width, resolution, num_classes, activation, padding, stem_stride, output_stride, dropout,
        norm_epsilon, norm_momentum, norm_group_size: as in `mobilenet_v1`.

    Raises:
      UserError: a knob has a value that does not exist.
    """
    _check_range("expansion", expansion, 1, math.inf)
    _check_choice("bottleneck", bottleneck, ("linear", "relu6"))
    _check_choice("shortcut", shortcut, ("bottleneck", "expansion", "none"))
    _check_choice("activation", activation, ("relu6", "relu"))
    rows = tuple(
        dataclasses.replace(
            row,
            expansion=expansion if row.expansion > 1 else 1,
            bottleneck=bottleneck,
            shortcut=shortcut,
        )
        if isinstance(row, InvertedResidualRow)
        else row
        for row in V2_ROWS
    )
    return _checked(
        Architecture(
            name="mobilenet_v2",
            rows=_with_stem_stride(rows, stem_stride),
            rounding=round_width_v2,
            width=width,
            resolution=resolution,
            num_classes=num_classes,
            activation=activation,
            padding=padding,
            output_stride=output_stride,
            dropout=dropout,
            norm_epsilon=norm_epsilon,
            norm_momentum=norm_momentum,
            norm_group_size=norm_group_size,
        )
    )


ARCHITECTURES: dict[str, Callable[..., Architecture]] = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
}


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


def _expand_rows(architecture: Architecture) -> Iterator[Block]:
    """Yields the concrete blocks of the rows: widths scaled, strides and dilations settled."""

    def scale(channels: int, min_width: float = 0.0) -> int:
        return architecture.rounding(channels * max(architecture.width, min_width))

    activation = architecture.activation
    grid = _Grid(architecture.output_stride)
    channels, number = 3, 0
    previous: Block | None = None
    for row in architecture.rows:
        if isinstance(row, ConvRow):
            out = scale(row.channels, row.min_width)
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


def _with_stem_stride(rows: tuple[Row, ...], stride: int) -> tuple[Row, ...]:
    _check_choice("stem_stride", stride, (2, 1))
    stem, *others = rows
    assert isinstance(stem, ConvRow)
    return (dataclasses.replace(stem, stride=stride), *others)


def _checked(architecture: Architecture) -> Architecture:
    """Returns the architecture if the knobs that both networks have are in range."""
    _check_range("width", architecture.width, 0, math.inf, low_open=True)
    _check_integer("resolution", architecture.resolution, 1)
    _check_integer("num_classes", architecture.num_classes, 0)
    _check_choice("padding", architecture.padding, ("same", "symmetric"))
    _check_choice("output_stride", architecture.output_stride, (32, 16, 8))
    _check_range("dropout", architecture.dropout, 0, 1, high_open=True)
    _check_range("norm_epsilon", architecture.norm_epsilon, 0, math.inf, low_open=True)
    _check_range("norm_momentum", architecture.norm_momentum, 0, 1, high_open=True)
    if architecture.norm_group_size is not None:
        _check_integer("norm_group_size", architecture.norm_group_size, 1)
    return architecture


def _check_choice(knob: str, value: Any, allowed: Sequence[Any]) -> None:
    if value not in allowed:
        raise UserError(f"{knob}={value!r}: must be one of {', '.join(map(str, allowed))}.")


def _check_integer(knob: str, value: Any, low: int) -> None:
    if not isinstance(value, int) or value < low:
        raise UserError(f"{knob}={value!r}: must be a whole number of at least {low}.")


def _check_range(
    knob: str,
    value: float,
    low: float,
    high: float,
    *,
    low_open: bool = False,
    high_open: bool = False,
) -> None:
    above = value > low if low_open else value >= low
    below = value < high if high_open or math.isinf(high) else value <= high
    if not (isinstance(value, int | float) and above and below):
        lower = f"{'above' if low_open else 'at least'} {low}"
        upper = "" if math.isinf(high) else f" and {'below' if high_open else 'at most'} {high}"
        raise UserError(f"{knob}={value!r}: must be {lower}{upper}.")
