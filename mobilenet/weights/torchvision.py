"""torchvision's names of MobileNetV2 (torchvision/models/mobilenetv2.py)."""

from collections.abc import Iterator

import numpy as np

from mobilenet.networks.architecture import Architecture
from mobilenet.weights.layout import (
    TORCH_CONV,
    TORCH_DENSE,
    ClassifierNames,
    Convention,
    LayerNames,
    Tensors,
)

# What networks of PyTorch's libraries have otherwise than TensorFlow's, unless they are told.
PYTORCH_KNOBS = {"padding": "symmetric", "norm_epsilon": 1e-5}

# Counts training steps, which plays no part where the momentum is a number.
_COUNTER = "num_batches_tracked"
_VARIANCE = "running_var"


def torch_names(conv: str, norm: str) -> LayerNames:
    """Returns the names of a convolution and a BatchNorm2d, as PyTorch calls their tensors."""
    leaves = ("weight", "bias", "running_mean", _VARIANCE)
    return LayerNames(f"{conv}.weight", *(f"{norm}.{leaf}" for leaf in leaves))


def without_counters(tensors: Tensors) -> Tensors:
    return {name: value for name, value in tensors.items() if not name.endswith(_COUNTER)}


def with_counters(tensors: Tensors) -> Tensors:
    """Puts a count of no steps behind every moving variance, where PyTorch's modules have it."""
    completed = {}
    for name, value in tensors.items():
        completed[name] = value
        if name.endswith(_VARIANCE):
            completed[name.removesuffix(_VARIANCE) + _COUNTER] = np.array(0, np.int64)
    return completed


def _layers(architecture: Architecture) -> Iterator[LayerNames]:
    for number, block in enumerate(architecture.blocks):
        if len(block.layers) == 1:  # stem and head
            yield torch_names(f"features.{number}.0", f"features.{number}.1")
            continue
        last = len(block.layers) - 1
        for place in range(last):
            scope = f"features.{number}.conv.{place}"
            yield torch_names(f"{scope}.0", f"{scope}.1")
        # The projection has no activation, and with it no module of its own.
        scope = f"features.{number}.conv"
        yield torch_names(f"{scope}.{last}", f"{scope}.{last + 1}")


def _classifier(_: Architecture) -> ClassifierNames:
    return ClassifierNames("classifier.1.weight", "classifier.1.bias", TORCH_DENSE)


CONVENTION = Convention(_layers, _classifier, TORCH_CONV, TORCH_CONV, without_counters)
