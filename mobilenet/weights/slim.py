"""Names of TF-slim's checkpoints (tensorflow/models research/slim/nets)."""

import re
from collections.abc import Iterator

from mobilenet.errors import UserError
from mobilenet.networks.architecture import Architecture
from mobilenet.weights.layout import (
    TENSORFLOW_CONV,
    TENSORFLOW_DENSE_CONV,
    TENSORFLOW_DEPTHWISE,
    ClassifierNames,
    Convention,
    LayerNames,
    Tensors,
)

_SCOPES = {"mobilenet_v1": "MobilenetV1", "mobilenet_v2": "MobilenetV2"}
_NORM = ("gamma", "beta", "moving_mean", "moving_variance")
_AVERAGE = "/ExponentialMovingAverage"
# Variables of the network itself: not the optimizer's, whose names go on (/RMSProp, /RMSProp_1),
# and not the step or the learning rate's.
_OWN = re.compile(r"MobilenetV[12]/.*(weights|biases|gamma|beta|moving_mean|moving_variance)")
_QUANTIZED = re.compile(r"(act|weights)_quant/")


def _scopes(architecture: Architecture) -> Iterator[tuple[str, bool]]:
    """Yields the scope of each layer, and whether it is depthwise."""
    root = _SCOPES[architecture.name]
    for number, block in enumerate(architecture.blocks):
        for layer in block.layers:
            if architecture.name == "mobilenet_v1":
                kind = "" if block.name == "stem" else f"_{layer.name}"
                scope = f"{root}/Conv2d_{number}{kind}"
            elif len(block.layers) == 1:
                scope = f"{root}/Conv" if block.name == "stem" else f"{root}/Conv_1"
            else:
                # TensorFlow numbers the scopes of one name from the second on.
                suffix = f"_{number - 1}" if number > 1 else ""
                scope = f"{root}/expanded_conv{suffix}/{layer.name}"
            yield scope, layer.operator == "depthwise"


def _layers(architecture: Architecture) -> Iterator[LayerNames]:
    for scope, is_depthwise in _scopes(architecture):
        kernel = "depthwise_weights" if is_depthwise else "weights"
        yield LayerNames(f"{scope}/{kernel}", *(f"{scope}/BatchNorm/{leaf}" for leaf in _NORM))


def _classifier(architecture: Architecture) -> ClassifierNames:
    scope = f"{_SCOPES[architecture.name]}/Logits/Conv2d_1c_1x1"
    return ClassifierNames(f"{scope}/weights", f"{scope}/biases", TENSORFLOW_DENSE_CONV)


def _clean(tensors: Tensors) -> Tensors:
    """Keeps the network's variables, by their moving averages where there are such.

    The published accuracies of V2 are those of the averages.
    """
    if any(_QUANTIZED.search(name) for name in tensors):
        raise UserError(
            "The checkpoint was trained for quantised inference, which gives its weights another "
            "meaning: take the one without _quant in its name."
        )
    own = {name: value for name, value in tensors.items() if _OWN.fullmatch(name)}
    return {name: tensors.get(name + _AVERAGE, value) for name, value in own.items()}


CONVENTION = Convention(_layers, _classifier, TENSORFLOW_CONV, TENSORFLOW_DEPTHWISE, _clean)
