"""Writes weights as Keras' .h5 files hold them.

Source: keras/src/legacy/saving/legacy_h5_format.py, `save_weights_to_hdf5_group`. Keras reads the
layers by their order, and those of a network are in ours.
"""

import os
from collections.abc import Iterable

import h5py  # type: ignore[import-untyped]
import numpy as np

from mobilenet.weights.layout import Tensors

# The format is that of Keras 2 and later. Without a version a file counts as one of Keras 1, whose
# kernels had other axes.
_VERSION = "3.0.0"


def write_keras_file(tensors: Tensors, path: str | os.PathLike[str]) -> None:
    """Writes a file for `load_weights`, and for `keras.applications.MobileNet(weights=path)`.

    Args:
      tensors: by `layer/variable`, layers in the network's order, and variables in the layer's.
      path: the file.
    """
    layers: dict[str, list[str]] = {}
    for name in tensors:
        layers.setdefault(name.partition("/")[0], []).append(name)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = _texts(layers)
        file.attrs["backend"] = np.bytes_("tensorflow")
        file.attrs["keras_version"] = np.bytes_(_VERSION)
        for layer, names in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = _texts(names)
            for name in names:
                group.create_dataset(name, data=tensors[name])


def _texts(names: Iterable[str]) -> np.ndarray:
    return np.array([name.encode() for name in names])
