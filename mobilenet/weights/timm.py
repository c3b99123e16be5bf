"""timm's names of both networks (timm/models/efficientnet.py, _efficientnet_builder.py)."""

from collections.abc import Iterator

from mobilenet.networks.architecture import Architecture
from mobilenet.networks.blocks import ConvRow, SeparableRow
from mobilenet.weights.layout import (
    TORCH_CONV,
    TORCH_DENSE,
    ClassifierNames,
    Convention,
    LayerNames,
)
from mobilenet.weights.torchvision import torch_names, without_counters

_INVERTED = {"expand": "conv_pw", "depthwise": "conv_dw", "project": "conv_pwl"}
# All blocks of V1, and the first of V2, which has no expansion.
_SEPARABLE = {"depthwise": "conv_dw", "pointwise": "conv_pw", "project": "conv_pw"}
_SINGLE = {"stem": ("conv_stem", "bn1"), "head": ("conv_head", "bn2")}


def _layers(architecture: Architecture) -> Iterator[LayerNames]:
    blocks = iter(architecture.blocks)
    stage, index, channels = -1, 0, 0
    for row in architecture.rows:
        if isinstance(row, ConvRow):
            next(blocks)
            yield torch_names(*_SINGLE[row.name])
            continue
        # A stage is what has as many channels; the rows of V1 split some.
        if row.channels != channels:
            stage, index, channels = stage + 1, 0, row.channels
        for _ in range(row.repeats):
            block = next(blocks)
            is_separable = isinstance(row, SeparableRow) or len(block.layers) < len(_INVERTED)
            names = _SEPARABLE if is_separable else _INVERTED
            for place, layer in enumerate(block.layers, 1):
                scope = f"blocks.{stage}.{index}"
                yield torch_names(f"{scope}.{names[layer.name]}", f"{scope}.bn{place}")
            index += 1


def _classifier(_: Architecture) -> ClassifierNames:
    return ClassifierNames("classifier.weight", "classifier.bias", TORCH_DENSE)


CONVENTION = Convention(_layers, _classifier, TORCH_CONV, TORCH_CONV, without_counters)
