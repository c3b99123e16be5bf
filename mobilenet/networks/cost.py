"""Parameters, multiply-adds and activation memory of an architecture, from its blocks alone.

Multiply-adds are those of convolutions and of the classifier, every tap of a padded convolution
included, as both papers count. Normalisation, activation, pooling and bias are not counted.
"""

import dataclasses
from collections.abc import Iterator

from mobilenet.networks.architecture import Architecture
from mobilenet.networks.blocks import Layer
from mobilenet.ops.padding import output_size

Shape = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class LayerCost:
    """One primitive layer for one image; shapes are (height, width, channels)."""

    name: str
    operator: str  # conv | depthwise | pool | dense
    input_shape: Shape
    output_shape: Shape
    kernel_size: int
    stride: int
    dilation: int
    params: int  # trainable: kernels, biases, scale and offset of the normalisation
    statistics: int  # moving mean and variance
    madds: int
    held: int  # values of a shortcut that wait in memory while the layer runs

    @property
    def activations(self) -> int:
        """Values in memory while the layer runs: its input, its output and a waiting shortcut."""
        sizes = (h * w * c for h, w, c in (self.input_shape, self.output_shape))
        return sum(sizes) + self.held


@dataclasses.dataclass(frozen=True)
class Cost:
    """A whole network, for one image."""

    params: int
    params_with_statistics: int
    madds: int
    peak_activation_bytes: int


def walk(architecture: Architecture) -> Iterator[LayerCost]:
    """Yields the cost of every layer in order, for an image of the architecture's resolution.

    Raises:
      ValueError: the image is too small for a layer.
    """
    shape = (*architecture.size, 3)
    expansion = 0
    shortcuts = [block.shortcut for block in architecture.blocks]
    for block, next_shortcut in zip(architecture.blocks, [*shortcuts[1:], "none"], strict=True):
        block_input = _size(shape)
        # While these run, an expansion waits to be joined to the next one.
        waiting = {"expand"} if block.shortcut == "expansion" else set()
        waiting |= {"project"} if next_shortcut == "expansion" else set()
        for position, layer in enumerate(block.layers):
            held = 0
            if block.shortcut == "bottleneck" and position > 0:
                held = block_input
            elif layer.name in waiting:
                held = expansion
            cost = _layer_cost(f"{block.name}/{layer.name}", layer, shape, architecture, held)
            yield cost
            shape = cost.output_shape
            if layer.name == "expand":
                expansion = _size(shape)
    pooled = (1, 1, architecture.feature_channels)
    yield LayerCost("pool", "pool", shape, pooled, shape[0], 1, 1, 0, 0, 0, 0)
    if architecture.num_classes:
        madds = architecture.feature_channels * architecture.num_classes
        params = madds + architecture.num_classes
        logits = (1, 1, architecture.num_classes)
        yield LayerCost("logits", "dense", pooled, logits, 1, 1, 1, params, 0, madds, 0)


def count_cost(architecture: Architecture, *, bytes_per_value: int = 2) -> Cost:
    """Sums `walk`.

    `peak_activation_bytes` is the largest sum of a layer's input, output and waiting shortcut (the
    simplified bound of V2 section 5.1, each convolution an operation of its own), with 16-bit
    activations as in V2 table 3 unless `bytes_per_value` says otherwise.
    """
    layers = list(walk(architecture))
    params = sum(layer.params for layer in layers)
    return Cost(
        params=params,
        params_with_statistics=params + sum(layer.statistics for layer in layers),
        madds=sum(layer.madds for layer in layers),
        peak_activation_bytes=bytes_per_value * max(layer.activations for layer in layers),
    )


def _layer_cost(
    name: str, layer: Layer, shape: Shape, architecture: Architecture, held: int
) -> LayerCost:
    size, stride, dilation = layer.kernel_size, layer.stride, layer.dilation
    height, width = (
        output_size(side, size, stride, dilation, architecture.padding) for side in shape[:2]
    )
    inputs = 1 if layer.operator == "depthwise" else layer.in_channels
    kernel = size * size * inputs * layer.out_channels
    return LayerCost(
        name=name,
        operator=layer.operator,
        input_shape=shape,
        output_shape=(height, width, layer.out_channels),
        kernel_size=size,
        stride=stride,
        dilation=dilation,
        params=kernel + 2 * layer.out_channels,
        statistics=2 * layer.out_channels,
        madds=height * width * kernel,
        held=held,
    )


def _size(shape: Shape) -> int:
    height, width, channels = shape
    return height * width * channels
