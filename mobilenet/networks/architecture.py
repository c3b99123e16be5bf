"""MobileNetV1 and MobileNetV2 as rows, as the papers print them, and every knob of the ablations.

`mobilenet_v1(...)` and `mobilenet_v2(...)` give an `Architecture`. Its `blocks` are the one
description of the network: the Flax modules, the cost model and the exporters are all built from
them.

Sources: V1 is arXiv 1704.04861, V2 is arXiv 1801.04381, slim is tensorflow/models research/slim.
"""

import abc
import dataclasses
import functools
import inspect
import math
import re
from collections.abc import Sequence
from typing import Any, ClassVar

from ml_collections.config_dict import ConfigDict

from mobilenet.config import size_of
from mobilenet.errors import ConfigError, UserError
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


# Knobs that say how to train; the logits of given weights do not depend on them.
TRAINING_KNOBS = ("dropout", "norm_momentum", "norm_group_size")


@dataclasses.dataclass(frozen=True)
class Architecture(abc.ABC):
    """A network: its rows and all that turns them into concrete layers.

    Attributes:
      width: the width multiplier alpha.
      resolution: pixels, of a square input, or its (height, width).
      num_classes: 0 leaves the classifier out, and the pooled features come out.
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

    name: ClassVar[str]

    width: float = 1.0
    resolution: int | tuple[int, int] = 224
    num_classes: int = 1000
    _: dataclasses.KW_ONLY
    activation: str = "relu6"
    padding: str = "same"
    stem_stride: int = 2
    output_stride: int = 32
    dropout: float
    norm_epsilon: float = 0.001
    norm_momentum: float
    norm_group_size: int | None = None

    def __post_init__(self) -> None:
        _check_range("width", self.width, 0, math.inf, low_open=True)
        sides = self.resolution
        for side in sides if isinstance(sides, tuple) and len(sides) == 2 else (sides,):
            _check_integer("resolution", side, 1)
        _check_integer("num_classes", self.num_classes, 0)
        _check_choice("activation", self.activation, ("relu6", "relu"))
        _check_choice("padding", self.padding, ("same", "symmetric"))
        _check_choice("stem_stride", self.stem_stride, (2, 1))
        _check_choice("output_stride", self.output_stride, (32, 16, 8))
        _check_range("dropout", self.dropout, 0, 1, high_open=True)
        _check_range("norm_epsilon", self.norm_epsilon, 0, math.inf, low_open=True)
        _check_range("norm_momentum", self.norm_momentum, 0, 1, high_open=True)
        if self.norm_group_size is not None:
            _check_integer("norm_group_size", self.norm_group_size, 1)
        self._check_own_knobs()

    @abc.abstractmethod
    def _check_own_knobs(self) -> None:
        """As `__post_init__`, for the knobs of one family."""

    @abc.abstractmethod
    def _own_rows(self) -> tuple[Row, ...]:
        """Returns the rows as the knobs of the family want them."""

    @staticmethod
    @abc.abstractmethod
    def rounding(channels: float) -> int:
        """Returns a whole number of scaled channels."""

    @functools.cached_property
    def rows(self) -> tuple[Row, ...]:
        stem, *others = self._own_rows()
        assert isinstance(stem, ConvRow)
        return (dataclasses.replace(stem, stride=self.stem_stride), *others)

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
    def size(self) -> tuple[int, int]:
        """Height and width of the input, pixels."""
        return size_of(self.resolution)

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArchitectureV1(Architecture):
    """MobileNetV1.

    The defaults of activation, dropout and normalisation are slim's (nets/mobilenet_v1.py): ReLU6
    where the paper says ReLU, dropout keeps .999, decay .9997, epsilon .001.

    Attributes:
      convolution: `full` replaces each depthwise separable pair by one 3x3 convolution (table 4).
      depth: `shallow` leaves out the five 14x14x512 blocks (table 5).
      head: channels of a last 1x1 convolution, which as that of V2 does not shrink; 0: none, as in
        the paper. timm's mobilenetv1_100h has 1024 (timm/models/efficientnet.py).
    """

    name = "mobilenet_v1"
    rounding = staticmethod(round_width_v1)

    dropout: float = 0.001
    norm_momentum: float = 0.9997
    convolution: str = "separable"
    depth: str = "full"
    head: int = 0

    def _check_own_knobs(self) -> None:
        _check_choice("convolution", self.convolution, ("separable", "full"))
        _check_choice("depth", self.depth, ("full", "shallow"))
        _check_integer("head", self.head, 0)

    def _own_rows(self) -> tuple[Row, ...]:
        rows: tuple[Row, ...] = tuple(
            dataclasses.replace(row, convolution=self.convolution)
            if isinstance(row, SeparableRow)
            else row
            for row in V1_ROWS
            if self.depth == "full" or not (isinstance(row, SeparableRow) and row.repeats == 5)
        )
        if self.head:
            rows += (ConvRow("head", self.head, kernel_size=1, min_width=1.0),)
        return rows


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArchitectureV2(Architecture):
    """MobileNetV2.

    The defaults of dropout and normalisation are slim's (nets/mobilenet/mobilenet.py
    `training_scope`): dropout keeps .8, decay .997, epsilon .001.

    Attributes:
      expansion: t, the ratio of the inner to the input channels, of all blocks but the first,
        whose t stays 1 (table 2).
      depth_multiplier: scales the repeats of all blocks but the first and the last, rounded up.
        Other than 1, it also keeps the stem and the head as wide as at width 1: timm's
        mobilenetv2_110d has 1.2, 120d has 1.4 (timm/models/efficientnet.py, fix_stem_head).
      bottleneck: `linear`, or `relu6` after the projection as well (figure 6a).
      shortcut: `bottleneck` joins the narrow ends of a block, `expansion` the wide inner tensors of
        one block and the next where those have equal shapes, `none` nothing (figure 6b). The paper
        gives no formula for `expansion`: we add before the activation, as ResNet does.
    """

    name = "mobilenet_v2"
    rounding = staticmethod(round_width_v2)

    dropout: float = 0.2
    norm_momentum: float = 0.997
    expansion: float = 6.0
    depth_multiplier: float = 1.0
    bottleneck: str = "linear"
    shortcut: str = "bottleneck"

    def _check_own_knobs(self) -> None:
        _check_range("expansion", self.expansion, 1, math.inf)
        _check_range("depth_multiplier", self.depth_multiplier, 0, math.inf, low_open=True)
        _check_choice("bottleneck", self.bottleneck, ("linear", "relu6"))
        _check_choice("shortcut", self.shortcut, ("bottleneck", "expansion", "none"))

    def _own_rows(self) -> tuple[Row, ...]:
        rows: tuple[Row, ...] = tuple(
            dataclasses.replace(
                row,
                expansion=self.expansion if row.expansion > 1 else 1,
                bottleneck=self.bottleneck,
                shortcut=self.shortcut,
            )
            if isinstance(row, InvertedResidualRow)
            else row
            for row in V2_ROWS
        )
        if self.depth_multiplier == 1:
            return rows
        blocks = [row for row in rows if isinstance(row, InvertedResidualRow)]
        return tuple(
            dataclasses.replace(row, min_width=1.0, max_width=1.0)
            if isinstance(row, ConvRow)
            else dataclasses.replace(row, repeats=math.ceil(row.repeats * self.depth_multiplier))
            if isinstance(row, InvertedResidualRow) and row not in (blocks[0], blocks[-1])
            else row
            for row in rows
        )


mobilenet_v1, mobilenet_v2 = ArchitectureV1, ArchitectureV2

ARCHITECTURES: dict[str, type[Architecture]] = {
    kind.name: kind for kind in (ArchitectureV1, ArchitectureV2)
}


def create_architecture(name: str, **knobs: Any) -> Architecture:
    """Returns the architecture of a name such as `mobilenet_v2_140` or `mobilenet_v1`.

    The three digits are the width in hundredths; any width works. Without them the width is a knob.

    Raises:
      UserError: an unknown name or knob, or a value that the knob does not take.
    """
    match = re.fullmatch(r"(mobilenet_v[12])(?:_(\d{3}))?", name)
    if not match:
        raise UserError(
            f"model {name!r} does not exist: use mobilenet_v1 or mobilenet_v2, with the width in "
            "hundredths if you like, such as mobilenet_v2_140."
        )
    family, hundredths = match.groups()
    if hundredths and "width" in knobs:
        raise UserError(f"width={knobs['width']!r}: the name {name!r} holds the width already.")
    allowed = tuple(defaults(family))
    if unknown := sorted(set(knobs) - set(allowed)):
        raise UserError(f"{unknown[0]}: {family} has no such knob; it has {', '.join(allowed)}.")
    if hundredths:
        knobs["width"] = int(hundredths) / 100
    return ARCHITECTURES[family](**knobs)


def architecture_of(model: ConfigDict, num_classes: int) -> Architecture:
    """Returns the architecture of `config.model`, for a number of classes.

    Raises:
      ConfigError: it names no network, or a value that a knob does not take.
    """
    try:
        return create_architecture(model.name, num_classes=num_classes, **given_knobs(model))
    except UserError as error:
        raise ConfigError(f"config.model: {error}") from error


def given_knobs(model: ConfigDict) -> dict[str, Any]:
    """Returns the knobs that `config.model` does not leave at the network's own default."""
    return {key: value for key, value in model.items() if key != "name" and value is not None}


def defaults(family: str) -> dict[str, Any]:
    """Returns every knob of a family with its default."""
    return {field.name: field.default for field in dataclasses.fields(ARCHITECTURES[family])}


def describe_knobs() -> dict[str, str]:
    """Returns what the docstrings say of every knob, in one line each."""
    texts = map(str, map(inspect.getdoc, (Architecture, *ARCHITECTURES.values())))
    knobs = "\n".join(text.partition("\nRaises:")[0] for text in texts)
    found = re.findall(r"^  (\w+): (.*(?:\n    .*)*)", knobs, re.M)
    return {name: " ".join(words.split()) for name, words in found}


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
