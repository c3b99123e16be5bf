"""Fills a network from the tensors of a file, all of them or none."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from flax import nnx

from mobilenet.errors import UserError
from mobilenet.networks.models import MobileNet
from mobilenet.weights.layout import (
    Convention,
    Expected,
    Tensors,
    backbone_tensors,
    classifier_tensors,
)

# How many tensors that do not fit are named.
_SHOWN = 3


class WeightsMismatchError(UserError, ValueError):
    """The tensors of a file are not those of the network."""


def count_classes(convention: Convention, model: MobileNet, tensors: Tensors) -> int | None:
    """Returns the number of classes of a file's classifier; None if it has no classifier."""
    names = convention.classifier(model.architecture)
    if names.kernel not in tensors and names.bias not in tensors:
        return None
    bias = tensors.get(names.bias)
    return int(bias.shape[0]) if bias is not None and bias.ndim == 1 else 0


def fill(
    model: MobileNet,
    convention: Convention,
    tensors: Tensors,
    *,
    where: str,
    classifier: str,
) -> None:
    """Gives the network's variables, all of them but perhaps the classifier, the file's values.

    Args:
      model: of shapes or of values.
      convention: of the file.
      tensors: of the file, cleaned by the convention.
      where: the file, for messages.
      classifier: `keep` it, keep it `without_background` (the file's first class), or `skip` it.

    Raises:
      WeightsMismatchError: tensors are missing, left over, of another shape or no numbers; the
        first of them are named. The network is unchanged then.
    """
    drop = 1 if classifier == "without_background" else 0
    wanted = dict.fromkeys(backbone_tensors(convention, model.architecture), 0)
    head = list(classifier_tensors(convention, model.architecture))
    if classifier != "skip":
        wanted |= dict.fromkeys(head, drop)
    variables = dict(nnx.to_flat_state(nnx.state(model)))
    misfits, values = [], {}
    for expected, dropped in wanted.items():
        shape = variables[expected.path].shape
        # Classes are our last axis.
        shape = expected.layout.foreign_shape((*shape[:-1], shape[-1] + dropped))
        found = tensors.get(expected.name)
        if found is None:
            misfits.append(f"{expected.name} {list(shape)} is missing")
        elif found.shape != shape:
            misfits.append(
                f"{expected.name} is {list(found.shape)} in the file and {list(shape)} in the "
                "network"
            )
        elif not _is_float(found):
            misfits.append(f"{expected.name} is of type {found.dtype}")
        else:
            values[expected.path] = expected.layout.convert(found)[..., dropped:]
    misfits += _left_over(tensors, [*wanted, *head])
    if misfits:
        raise WeightsMismatchError(_message(misfits, model, where))
    for path, value in values.items():
        variables[path].set_value(jnp.asarray(np.ascontiguousarray(value, np.float32)))
    filled = nnx.to_flat_state(nnx.state(model))
    nnx.update(
        model,
        nnx.from_flat_state([(path, variables.get(path, leaf)) for path, leaf in filled]),
    )


def _left_over(tensors: Mapping[str, np.ndarray], known: Sequence[Expected]) -> list[str]:
    names = {expected.name for expected in known}
    return [
        f"{name} {list(value.shape)} is in the file only"
        for name, value in tensors.items()
        if name not in names
    ]


def _is_float(value: np.ndarray) -> bool:
    return jnp.issubdtype(value.dtype, jnp.floating)


def _message(misfits: Sequence[str], model: MobileNet, where: str) -> str:
    architecture = model.architecture
    more = f", and {len(misfits) - _SHOWN} more" if len(misfits) > _SHOWN else ""
    return (
        f"{where} does not fit {architecture.name} of width {architecture.width:g} with "
        f"{architecture.num_classes} classes: {'; '.join(misfits[:_SHOWN])}{more}: name the model "
        "and the source that the weights are of."
    )
