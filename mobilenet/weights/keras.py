"""Names of Keras Applications (keras/src/applications/mobilenet.py, mobilenet_v2.py)."""

from collections.abc import Iterator

from mobilenet.networks.architecture import Architecture
from mobilenet.weights.layout import (
    TENSORFLOW_CONV,
    TENSORFLOW_DENSE,
    TENSORFLOW_DENSE_CONV,
    TENSORFLOW_DEPTHWISE,
    ClassifierNames,
    Convention,
    LayerNames,
    Tensors,
)

_NORM = ("gamma", "beta", "moving_mean", "moving_variance")
_V1 = {"depthwise": "conv_dw", "pointwise": "conv_pw"}
_SINGLE = {
    ("mobilenet_v1", "stem"): ("conv1", "conv1_bn"),
    ("mobilenet_v2", "stem"): ("Conv1", "bn_Conv1"),
    ("mobilenet_v2", "head"): ("Conv_1", "Conv_1_bn"),
}


def _scopes(architecture: Architecture) -> Iterator[tuple[str, str]]:
    for number, block in enumerate(architecture.blocks):
        if single := _SINGLE.get((architecture.name, block.name)):
            yield single
            continue
        for layer in block.layers:
            if architecture.name == "mobilenet_v1":
                scope = f"{_V1.get(layer.name, layer.name)}_{number}"
                yield scope, f"{scope}_bn"
            else:
                # The first block has no number, and those after it start with 1.
                prefix = "expanded_conv" if number == 1 else f"block_{number - 1}"
                yield f"{prefix}_{layer.name}", f"{prefix}_{layer.name}_BN"


def _layers(architecture: Architecture) -> Iterator[LayerNames]:
    for conv, norm in _scopes(architecture):
        yield LayerNames(f"{conv}/kernel", *(f"{norm}/{leaf}" for leaf in _NORM))


def _classifier(architecture: Architecture) -> ClassifierNames:
    if architecture.name == "mobilenet_v1":
        return ClassifierNames("conv_preds/kernel", "conv_preds/bias", TENSORFLOW_DENSE_CONV)
    return ClassifierNames("predictions/kernel", "predictions/bias", TENSORFLOW_DENSE)


def _clean(tensors: Tensors) -> Tensors:
    """Gives depthwise kernels the name that Keras 3 gives them, and an older classifier its new."""
    renamed = {
        name.replace("/depthwise_kernel", "/kernel").replace("Logits/", "predictions/"): value
        for name, value in tensors.items()
    }
    return {
        name: value for name, value in renamed.items() if not name.endswith("seed_generator_state")
    }


CONVENTION = Convention(_layers, _classifier, TENSORFLOW_CONV, TENSORFLOW_DEPTHWISE, _clean)
