"""Files of PyTorch without PyTorch, also such as it would never write (torch/serialization.py)."""

import io
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

_STORAGES = {np.dtype(np.float32): b"FloatStorage", np.dtype(np.int64): b"LongStorage"}
_PROTOCOL = 2  # as torch.save writes
_NO_HOOKS = b"ccollections\nOrderedDict\n)R"


class View(NamedTuple):
    """A tensor: which of a storage's `length` values are its own, all in numbers of values."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    length: int
    offset: int = 0
    key: str = "0"
    storage: bytes = b"FloatStorage"


def pickled(views: Mapping[str, View]) -> bytes:
    """Returns the pickle of a state_dict, without the values."""
    items = b"".join(_value(name) + _tensor(view) for name, view in views.items())
    return b"\x80\x02ccollections\nOrderedDict\n)R(" + items + b"u."


def archive(
    pickled: bytes, storages: Sequence[bytes] = (), compression: int = zipfile.ZIP_STORED
) -> bytes:
    """Returns a file in the format since PyTorch 1.6 (`_save`)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:

        def add(name: str, data: bytes) -> None:
            # The same bytes on every day.
            info = zipfile.ZipInfo(f"archive/{name}", (1980, 1, 1, 0, 0, 0))
            file.writestr(info, data, compression)

        add("data.pkl", pickled)
        add("byteorder", b"little")
        for key, data in enumerate(storages):
            add(f"data/{key}", data)
        add("version", b"3\n")
    return buffer.getvalue()


def legacy(pickled: bytes, storages: Sequence[np.ndarray] = ()) -> bytes:
    """Returns a file in the format before (`_legacy_save`)."""
    head = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    keys = [str(key) for key in range(len(storages))]
    parts = [*(pickle.dumps(value, 2) for value in head), pickled, pickle.dumps(keys, 2)]
    parts += (np.int64(value.size).tobytes() + value.tobytes() for value in storages)
    return b"".join(parts)


def torch_files(tensors: Mapping[str, np.ndarray]) -> tuple[bytes, bytes]:
    """Returns the tensors, float32 or int64, in both formats."""
    values = list(tensors.values())
    state = pickled(
        {
            name: View(
                value.shape, tuple(step // value.itemsize for step in value.copy().strides),
                value.size, key=str(key), storage=_STORAGES[value.dtype],
            )
            for key, (name, value) in enumerate(tensors.items())
        }
    )  # fmt: skip
    return archive(state, [value.tobytes() for value in values]), legacy(state, values)


def _tensor(view: View) -> bytes:
    """A call of `torch._utils._rebuild_tensor_v2` with storage, offset, size, stride and hooks."""
    storage = (
        b"(" + _value("storage") + b"ctorch\n" + view.storage + b"\n"
        + _value(view.key) + _value("cpu") + _value(view.length) + b"tQ"
    )  # fmt: skip
    arguments = storage + _value(view.offset) + _value(view.size) + _value(view.stride)
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"\x89" + _NO_HOOKS + b"tR"


def _value(value: str | int | tuple[int, ...]) -> bytes:
    """A plain value, without the opcodes that open and end a pickle."""
    return pickle.dumps(value, _PROTOCOL)[2:-1]
