"""Reads the tensors of a file, whatever its format, by their names in it."""

import os
import pathlib
import zipfile
from collections.abc import Callable

import h5py  # type: ignore[import-untyped]
import numpy as np
import safetensors.numpy

from mobilenet.weights.damage import WeightsFileError, check_bytes, damage_explained
from mobilenet.weights.layout import Tensors
from mobilenet.weights.tf_checkpoint import read_tf_checkpoint
from mobilenet.weights.torch_file import read_torch_file


def read_tensors(path: str | os.PathLike[str]) -> Tensors:
    """Returns the tensors of a file by name, in the file's own shapes; the format by its ending.

    PyTorch's .pth, .pt and .bin, .safetensors, Keras' .h5, TensorFlow's checkpoints (a prefix, an
    index or a .tgz), and .npz of tensors under their original names. No format runs code.

    Raises:
      UserError: there is no such file, it is damaged, or of another format.
    """
    path = pathlib.Path(path).expanduser()
    is_prefix = path.with_name(f"{path.name}.index").is_file()
    if not path.is_file() and not is_prefix:
        raise WeightsFileError(f"There is no file {path}: correct the path of the weights.")
    for kind, (endings, read) in _READERS.items():
        if path.name.endswith(endings) or (is_prefix and read is read_tf_checkpoint):
            with damage_explained(path, kind):
                return read(path)
    raise WeightsFileError(
        f"{path} has none of the endings that are read: .pth, .safetensors, .h5, .npz, or .ckpt "
        "and .tgz of TensorFlow."
    )


def _read_npz(path: pathlib.Path) -> Tensors:
    with zipfile.ZipFile(path) as archive:
        check_bytes(sum(info.file_size for info in archive.infolist()))
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _read_keras(path: pathlib.Path) -> Tensors:
    """Reads `layer/variable` from Keras' HDF5 format of weights, or of whole models.

    Source: keras/src/legacy/saving/legacy_h5_format.py, `save_weights_to_hdf5_group`.
    """
    tensors: Tensors = {}
    with h5py.File(path, "r") as file:
        root = file.get("model_weights", file)
        if "layer_names" not in root.attrs:
            raise ValueError("no weights by layer, as Keras' .h5 files have; save the model as .h5")
        for layer in map(_text, root.attrs["layer_names"]):
            group = root[layer]
            for variable in map(_text, group.attrs["weight_names"]):
                leaf = variable.rpartition("/")[2].partition(":")[0]
                values = group[variable]
                # One that was never written, or lies in another file, has no bytes in this one.
                if values.nbytes > max(values.id.get_storage_size(), 0) or values.external:
                    raise ValueError(f"the values of {variable} are not in it, or compressed")
                check_bytes(values.nbytes + sum(x.nbytes for x in tensors.values()))
                tensors[f"{layer}/{leaf}"] = np.asarray(values)
    return tensors


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


# What a file is, by the ending of its name.
_READERS: dict[str, tuple[tuple[str, ...], Callable[[pathlib.Path], Tensors]]] = {
    "a file of PyTorch": ((".pth", ".pt", ".bin"), read_torch_file),
    "a checkpoint of TensorFlow": (
        (".ckpt", ".index", ".tgz", ".tar.gz", ".tar"), read_tf_checkpoint,
    ),
    "safetensors": ((".safetensors",), safetensors.numpy.load_file),
    "a file of Keras": ((".h5", ".hdf5"), _read_keras),
    "arrays of NumPy": ((".npz",), _read_npz),
}  # fmt: skip
