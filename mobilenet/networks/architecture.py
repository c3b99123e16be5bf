"""MobileNetV1 and MobileNetV2 as rows, as the papers print them, and every knob of the ablations.

`mobilenet_v1` and `mobilenet_v2` return an `Architecture`. Its `blocks` are the one description of
the network: the Flax modules, the cost model and the exporters are all built from them.

Sources: V1 is arXiv 1704.04861, V2 is arXiv 1801.04381, slim is tensorflow/models research/slim.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from mobilenet.errors import UserError
from mobilenet.networks.blocks import (
    Block,
    ConvRow,
    InvertedResidualRow,
    Row,
    SeparableRow,
    expand_rows,
    round_width_v1,
    round_width_v2,
)

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
        return tuple(
            expand_rows(
                self.rows,
                width=self.width,
                rounding=self.rounding,
                output_stride=self.output_stride,
                activation=self.activation,
            )
        )

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


def mobilenet_v1(
    width: float = 1.0,
    resolution: int = 224,
    num_classes: int = 1000,
    *,
    convolution: str = "separable",
    depth: str = "full",
    head: int = 0,
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
      head: channels of a last 1x1 convolution, which as that of V2 does not shrink; 0: none, as in
        the paper. timm's mobilenetv1_100h has 1024 (timm/models/efficientnet.py).
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
    _check_integer("head", head, 0)
    _check_choice("activation", activation, ("relu6", "relu"))
    rows = tuple(
        dataclasses.replace(row, convolution=convolution) if isinstance(row, SeparableRow) else row
        for row in V1_ROWS
        if depth == "full" or not (isinstance(row, SeparableRow) and row.repeats == 5)
    )
    if head:
        rows += (ConvRow("head", head, kernel_size=1, min_width=1.0),)
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
    depth_multiplier: float = 1.0,
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
      depth_multiplier: scales the repeats of all blocks but the first and the last, rounded up.
        Other than 1, it also keeps the stem and the head as wide as at width 1: timm's
        mobilenetv2_110d has 1.2, 120d has 1.4 (timm/models/efficientnet.py, fix_stem_head).
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
    _check_range("depth_multiplier", depth_multiplier, 0, math.inf, low_open=True)
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
    if depth_multiplier != 1:
        rows = _with_depth(rows, depth_multiplier)
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


def _with_depth(rows: tuple[Row, ...], multiplier: float) -> tuple[Row, ...]:
    blocks = [row for row in rows if isinstance(row, InvertedResidualRow)]
    return tuple(
        dataclasses.replace(row, min_width=1.0, max_width=1.0)
        if isinstance(row, ConvRow)
        else dataclasses.replace(row, repeats=math.ceil(row.repeats * multiplier))
        if isinstance(row, InvertedResidualRow) and row not in (blocks[0], blocks[-1])
        else row
        for row in rows
    )


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
