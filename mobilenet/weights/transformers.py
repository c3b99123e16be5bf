"""Names of Hugging Face transformers (models/mobilenet_v1, mobilenet_v2, modeling_*.py)."""

from collections.abc import Iterator

from mobilenet.errors import UserError
from mobilenet.networks.architecture import Architecture
from mobilenet.weights.layout import (
    TORCH_CONV,
    TORCH_DENSE,
    ClassifierNames,
    Convention,
    LayerNames,
    walk_layers,
)
from mobilenet.weights.torchvision import torch_names, without_counters

_V2 = {"expand": "expand_1x1", "depthwise": "conv_3x3", "project": "reduce_1x1"}


def _scopes(architecture: Architecture) -> Iterator[str]:
    if architecture.name == "mobilenet_v1":
        # The layers of all blocks are counted through.
        for number, (block, _) in enumerate(walk_layers(architecture), -1):
            yield "conv_stem" if block.name == "stem" else f"layer.{number}"
        return
    if architecture.blocks[1].shortcut != "none":
        raise UserError(
            f"transformers leaves out the shortcut that the first block of a mobilenet_v2 of width "
            f"{architecture.width:g} has, so that its weights would not mean the same here: take a "
            "width of at least 0.35, as all published ones are."
        )
    for number, block in enumerate(architecture.blocks, -2):
        for layer in block.layers:
            if block.name == "stem":
                yield "conv_stem.first_conv"
            elif block.name == "head":
                yield "conv_1x1"
            elif number < 0:  # The first block is a part of their stem.
                yield f"conv_stem.{_V2[layer.name]}"
            else:
                yield f"layer.{number}.{_V2[layer.name]}"


def _layers(architecture: Architecture) -> Iterator[LayerNames]:
    for scope in _scopes(architecture):
        scope = f"{architecture.name}.{scope}"
        yield torch_names(f"{scope}.convolution", f"{scope}.normalization")


def _classifier(_: Architecture) -> ClassifierNames:
    return ClassifierNames("classifier.weight", "classifier.bias", TORCH_DENSE)


CONVENTION = Convention(_layers, _classifier, TORCH_CONV, TORCH_CONV, without_counters)
