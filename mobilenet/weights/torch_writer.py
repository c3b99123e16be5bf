"""Writes files of PyTorch without PyTorch.

The format is the zip of torch/serialization.py (`_save`): a pickle, `data.pkl`, that rebuilds the
tensors, and beside it the bytes of each in `data/`. The pickle is put together by hand, because
Python's own pickler would have to import the functions of torch that it names.
"""

import os
import pickle
import zipfile

import numpy as np

from mobilenet.weights.layout import Tensors

_STORAGES = {np.dtype(np.float32): b"FloatStorage", np.dtype(np.int64): b"LongStorage"}
_PROTOCOL = 2  # as torch.save writes
_FOLDER = "archive"
# The same bytes for the same tensors: zip's earliest date in the place of today's.
_DATE = (1980, 1, 1, 0, 0, 0)


def write_torch_file(tensors: Tensors, path: str | os.PathLike[str]) -> None:
    """Writes a state_dict that `torch.load(path, weights_only=True)` reads.

    Args:
      tensors: float32 or int64, by name, in the order that the state_dict has.
      path: the file.
    """
    with zipfile.ZipFile(path, "w") as archive:

        def add(name: str, data: bytes) -> None:
            archive.writestr(zipfile.ZipInfo(f"{_FOLDER}/{name}", _DATE), data)

        add("data.pkl", _pickle_state_dict(tensors))
        add("byteorder", b"little")
        for key, value in enumerate(tensors.values()):
            add(f"data/{key}", value.astype(value.dtype.newbyteorder("<")).tobytes())
        add("version", b"3\n")


def _pickle_state_dict(tensors: Tensors) -> bytes:
    ordered_dict = _global(b"collections", b"OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE
    items = b"".join(
        _value(name) + _tensor(str(key), value) for key, (name, value) in enumerate(tensors.items())
    )
    return (
        pickle.PROTO + bytes([_PROTOCOL]) + ordered_dict
        + pickle.MARK + items + pickle.SETITEMS + pickle.STOP
    )  # fmt: skip


def _tensor(key: str, value: np.ndarray) -> bytes:
    """A call of `torch._utils._rebuild_tensor_v2` with storage, offset, size, stride and hooks."""
    storage = _tuple(
        _value("storage"), _global(b"torch", _STORAGES[value.dtype]),
        _value(key), _value("cpu"), _value(value.size),
    )  # fmt: skip
    strides = tuple(stride // value.itemsize for stride in value.copy().strides)  # row by row
    no_hooks = _global(b"collections", b"OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE
    arguments = _tuple(
        storage + pickle.BINPERSID, _value(0), _value(value.shape), _value(strides),
        pickle.NEWFALSE, no_hooks,
    )  # fmt: skip
    return _global(b"torch._utils", b"_rebuild_tensor_v2") + arguments + pickle.REDUCE


def _global(module: bytes, name: bytes) -> bytes:
    return pickle.GLOBAL + module + b"\n" + name + b"\n"


def _tuple(*parts: bytes) -> bytes:
    return pickle.MARK + b"".join(parts) + pickle.TUPLE


def _value(value: str | int | tuple[int, ...]) -> bytes:
    """A plain value, without the opcodes that open and end a pickle."""
    return pickle.dumps(value, _PROTOCOL)[2:-1]
