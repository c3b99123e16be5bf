"""Writes a network's weights as another library's file."""

import os
import pathlib

import numpy as np
from flax import nnx

from mobilenet.errors import UserError
from mobilenet.networks.models import MobileNet
from mobilenet.runtime.whole_file import whole_file
from mobilenet.weights.layout import Convention, Tensors, backbone_tensors, classifier_tensors
from mobilenet.weights.pretrained import Pretrained
from mobilenet.weights.targets import find_target

# Keras reads what ends so in another format.
_KERAS_3_ENDING = ".weights.h5"


def convert(pretrained: Pretrained, to: str, out: str | os.PathLike[str]) -> str:
    """Writes the file at once, when it is complete.

    Args:
      pretrained: the network and its weights.
      to: `torchvision`, `timm` or `keras`.
      out: the file, with the ending that the target has; one that is there is replaced.

    Returns:
      The lines of Python that load it, and how its network wants to see images.

    Raises:
      UserError: the library has no network that would give these logits, the classifier is
        untrained, the ending is another's, or the file cannot be written.
    """
    architecture = pretrained.model.architecture
    target = find_target(to, architecture)
    if architecture.num_classes and not pretrained.has_own_classifier:
        raise UserError(
            f"The weights of {pretrained.origin} have no classifier of "
            f"{architecture.num_classes} classes: --num_classes=0 leaves it out."
        )
    path = pathlib.Path(out).expanduser()
    if not path.name.endswith(target.ending) or path.name.endswith(_KERAS_3_ENDING):
        raise UserError(
            f"--out={out} must end in {target.ending}, the format that is written for {to}"
            f"{f', and not in {_KERAS_3_ENDING}' if to == 'keras' else ''}."
        )
    tensors = target.complete(foreign_tensors(pretrained.model, target.convention))
    with whole_file(path) as part:
        target.write(tensors, part)
    code = target.code(architecture, str(path))
    return "\n".join([*code, f"# Images: {pretrained.model.preprocessing.describe()}."])


def foreign_tensors(model: MobileNet, convention: Convention) -> Tensors:
    """Returns all tensors of a network under a library's names, in the network's order."""
    values = dict(nnx.to_flat_state(nnx.state(model)))
    wanted = list(backbone_tensors(convention, model.architecture))
    if model.architecture.num_classes:
        wanted += classifier_tensors(convention, model.architecture)
    return {
        expected.name: expected.layout.restore(np.asarray(values[expected.path][...], np.float32))
        for expected in wanted
    }
