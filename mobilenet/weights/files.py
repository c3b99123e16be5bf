"""Reads the tensors of a file, whatever its format, by their names in it."""

import os
import pathlib
import struct
import tokenize
import zipfile
import zlib

import h5py  # type: ignore[import-untyped]
import numpy as np
import safetensors
import safetensors.numpy

from mobilenet.errors import UserError, os_errors_explained
from mobilenet.weights.layout import Tensors
from mobilenet.weights.limits import check_bytes
from mobilenet.weights.tf_checkpoint import read_tf_checkpoint
from mobilenet.weights.torch_file import read_torch_file

_TORCH = (".pth", ".pt", ".bin")
_HDF5 = (".h5", ".hdf5")
_TENSORFLOW = (".ckpt", ".index", ".tgz", ".tar.gz", ".tar")


# What the libraries, and the code below, raise for bytes that make no sense.
_DAMAGE = (
    safetensors.SafetensorError,
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    MemoryError,
    RuntimeError,  # of h5py for most, and of zipfile for an encrypted file
    NotImplementedError,
    AttributeError,
    SyntaxError,
    tokenize.TokenError,  # of numpy, which reads the header of an array as Python's literals
    struct.error,
)


class WeightsFileError(UserError, ValueError):
    """The file is damaged, or of a format that we do not read."""


def read_tensors(path: str | os.PathLike[str]) -> Tensors:
    """Returns the tensors of a file by name, in the file's own shapes; the format by its ending.

    PyTorch's .pth, .pt and .bin, .safetensors, Keras' .h5, TensorFlow's checkpoints (a prefix, an
    index or a .tgz), and .npz of tensors under their original names. No format runs code.

    Raises:
      UserError: there is no such file, it is damaged, or of another format.
    """
    path = pathlib.Path(path).expanduser()
    name = path.name
    if not path.is_file() and not path.with_name(f"{name}.index").is_file():
        raise WeightsFileError(f"There is no file {path}: correct the path of the weights.")
    if name.endswith(_TORCH):
        return read_torch_file(path)
    if name.endswith(_TENSORFLOW) or path.with_name(f"{name}.index").is_file():
        return read_tf_checkpoint(path)
    with os_errors_explained(f"read {path}"):
        try:
            if name.endswith(".safetensors"):
                return safetensors.numpy.load_file(path)
            if name.endswith(_HDF5):
                return _read_keras(path)
            if name.endswith(".npz"):
                return _read_npz(path)
        except _DAMAGE as error:
            raise _damaged(path, error) from error
        except OSError as error:
            # h5py raises it, without a number, for whatever is wrong in a file.
            if error.errno is None:
                raise _damaged(path, error) from error
            raise
    raise WeightsFileError(
        f"{path} has none of the endings that are read: .pth, .safetensors, .h5, .npz, or .ckpt "
        "and .tgz of TensorFlow."
    )


def _damaged(path: pathlib.Path, error: Exception) -> WeightsFileError:
    return WeightsFileError(
        f"{path} cannot be read ({str(error).splitlines()[0] if str(error) else error!r}): it is "
        "damaged, cut short or something else; get it again."
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
