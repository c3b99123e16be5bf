"""What a library calls the tensors of a network, and how their axes lie.

A `Convention` names the tensors of each layer in the order of `Architecture.blocks`; which layers
there are, and how large, is the architecture's business alone.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from mobilenet.networks.architecture import Architecture
from mobilenet.networks.blocks import Block, Layer

Tensors = dict[str, np.ndarray]
Shape = tuple[int, ...]


class Layout(NamedTuple):
    """Where our axes lie in a foreign tensor.

    Attributes:
      axes: for each of our axes, its place in the foreign tensor.
      ones: foreign axes of length 1 that ours lacks, before ours.
    """

    axes: tuple[int, ...]
    ones: int = 0

    def foreign_shape(self, shape: Shape) -> Shape:
        """Returns the foreign tensor's shape for our shape."""
        foreign = [0] * len(self.axes)
        for axis, size in zip(self.axes, (1,) * self.ones + shape, strict=True):
            foreign[axis] = size
        return tuple(foreign)

    def convert(self, value: np.ndarray) -> np.ndarray:
        """Returns the foreign tensor with our axes."""
        value = value.transpose(self.axes)
        return value.reshape(value.shape[self.ones :])

    def restore(self, value: np.ndarray) -> np.ndarray:
        """Returns our tensor with the foreign axes; `convert` undoes it."""
        value = value.reshape((1,) * self.ones + value.shape)
        return np.ascontiguousarray(value.transpose(np.argsort(self.axes)))


VECTOR = Layout((0,))
# Ours is height, width, inputs, outputs, for depthwise kernels too, whose inputs are 1.
TORCH_CONV = Layout((2, 3, 1, 0))
TORCH_DENSE = Layout((1, 0))
TENSORFLOW_CONV = Layout((0, 1, 2, 3))
TENSORFLOW_DEPTHWISE = Layout((0, 1, 3, 2))
TENSORFLOW_DENSE = Layout((0, 1))
# A 1x1 convolution in the place of the dense layer.
TENSORFLOW_DENSE_CONV = Layout((0, 1, 2, 3), ones=2)


class LayerNames(NamedTuple):
    """Foreign names of a layer's kernel, and of its normalisation's tensors."""

    kernel: str
    scale: str
    bias: str
    mean: str
    var: str


class ClassifierNames(NamedTuple):
    """Foreign names of the classifier's tensors, and the layout of its kernel."""

    kernel: str
    bias: str
    layout: Layout


@dataclasses.dataclass(frozen=True)
class Convention:
    """How a library writes its networks down.

    Attributes:
      layers: names of every layer of an architecture, in the order of its blocks.
      classifier: names of the classifier.
      conv, depthwise: layouts of the two kinds of kernel.
      clean: takes the tensors of a file and returns those that belong to the network.
    """

    layers: Callable[[Architecture], Iterator[LayerNames]]
    classifier: Callable[[Architecture], ClassifierNames]
    conv: Layout
    depthwise: Layout
    clean: Callable[[Tensors], Tensors]


class Expected(NamedTuple):
    """One tensor of a network.

    Attributes:
      path: ours, such as ("block_3", "expand", "kernel").
      name: the foreign name.
      layout: of the foreign tensor.
    """

    path: tuple[str, ...]
    name: str
    layout: Layout


def walk_layers(architecture: Architecture) -> Iterator[tuple[Block, Layer]]:
    """Yields every convolution with its block, in order."""
    for block in architecture.blocks:
        for layer in block.layers:
            yield block, layer


def backbone_tensors(convention: Convention, architecture: Architecture) -> Iterator[Expected]:
    """Yields all tensors before the classifier, in the order of the network."""
    layers = walk_layers(architecture)
    for (block, layer), names in zip(layers, convention.layers(architecture), strict=True):
        path = (block.name, layer.name)
        is_depthwise = layer.operator == "depthwise"
        kernel = convention.depthwise if is_depthwise else convention.conv
        yield Expected((*path, "kernel"), names.kernel, kernel)
        for leaf in ("scale", "bias", "mean", "var"):
            yield Expected((*path, "norm", leaf), getattr(names, leaf), VECTOR)


def classifier_tensors(convention: Convention, architecture: Architecture) -> Iterator[Expected]:
    """Yields the classifier's kernel and bias."""
    names = convention.classifier(architecture)
    yield Expected(("logits", "kernel"), names.kernel, names.layout)
    yield Expected(("logits", "bias"), names.bias, VECTOR)
