"""Reads files of PyTorch without PyTorch, and runs nothing that is in them.

A pickle is a program that may call any function by its name. The unpickler here knows those that
make tensors and no other, and makes NumPy arrays of them. It derives from the one that is written
in Python, because the one in C fills the memory when a few bytes give a value a high number.

Formats: a zip since PyTorch 1.6; before, several pickles in a row, behind which the data follow
(both in torch/serialization.py, `_load` and `_legacy_load`).
"""

import collections
import os
import pathlib
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np

from mobilenet.weights.damage import WeightsFileError, check_bytes
from mobilenet.weights.layout import Tensors

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_ZIP_START = b"PK\x03\x04"

_STORAGES: dict[str, np.dtype] = {
    "FloatStorage": np.dtype(np.float32),
    "DoubleStorage": np.dtype(np.float64),
    "HalfStorage": np.dtype(np.float16),
    "BFloat16Storage": np.dtype(jnp.bfloat16),
    "LongStorage": np.dtype(np.int64),
    "IntStorage": np.dtype(np.int32),
    "ShortStorage": np.dtype(np.int16),
    "CharStorage": np.dtype(np.int8),
    "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.bool_),
}

# Under which training scripts keep the weights (timm models/_helpers.py `load_state_dict`).
_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")
# What DistributedDataParallel puts before every name.
_PARALLEL = "module."


class _StorageType(NamedTuple):
    dtype: np.dtype


class _Storage(NamedTuple):
    values: np.ndarray  # one axis; of a legacy file filled after the tensors are made


class _Tensor(NamedTuple):
    storage: Any
    offset: Any
    size: Any
    stride: Any

    def count_bytes(self) -> int:
        """Returns how large a copy is, which shares nothing with other tensors of the storage."""
        return int(np.prod(tuple(map(int, self.size)), dtype=object)) * self.storage.values.itemsize

    def array(self) -> np.ndarray:
        """Returns a copy of the values. Raises ValueError if they lie outside of the storage."""
        size, stride = tuple(map(int, self.size)), tuple(map(int, self.stride))
        values, offset = self.storage.values, int(self.offset)
        count = int(np.prod(size, dtype=object))
        if len(size) != len(stride) or min((offset, *size, *stride)) < 0:
            raise ValueError("a tensor of impossible shape")
        # More elements than values would be repeated ones: weights have none, and a small file
        # could fill the memory with them.
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if count > values.size or (count and last >= values.size):
            raise ValueError("a tensor outside of its storage")
        if not count:
            return np.empty(size, values.dtype)
        steps = tuple(step * values.itemsize for step in stride)
        return np.lib.stride_tricks.as_strided(values[offset:], size, steps).copy()


class _Dict(collections.OrderedDict):
    """A dictionary of names or numbers; the hash of deeply nested tuples would end Python."""

    def __setitem__(self, key: Any, value: Any) -> None:
        if not isinstance(key, (str, int)):
            raise TypeError("a key that is neither a name nor a number")
        super().__setitem__(key, value)


class _Unpickler(pickle._Unpickler):
    """Knows how to rebuild tensors and containers, and nothing else."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: Any, path: pathlib.Path, load_storage: Callable[..., _Storage]):
        super().__init__(file, encoding="utf-8")
        self._path = path
        self._load_storage = load_storage

    def find_class(self, module: str, name: str) -> Any:
        if module in ("torch", "torch.storage") and name in _STORAGES:
            return _StorageType(_STORAGES[name])
        allowed: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): _Dict,
            ("torch", "Size"): tuple,
            ("torch._utils", "_rebuild_tensor"): self._rebuild_tensor,
            ("torch._utils", "_rebuild_tensor_v2"): self._rebuild_tensor,
            ("torch._utils", "_rebuild_parameter"): self._rebuild_parameter,
        }
        if (module, name) not in allowed:
            raise WeightsFileError(
                f"{self._path} is refused: it would call {module}.{name}, and only tensors are "
                "read; save the state_dict of the network alone."
            )
        return allowed[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage_type, key, _, count, *more = pid
        if kind != "storage" or not isinstance(storage_type, _StorageType) or any(more):
            raise ValueError("a reference to something else than a storage")
        return self._load_storage(str(key), storage_type.dtype, int(count))

    def _rebuild_tensor(
        self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any
    ) -> _Tensor:
        if not isinstance(storage, _Storage):
            raise TypeError("a tensor without a storage")
        return _Tensor(storage, offset, size, stride)

    def _rebuild_parameter(self, tensor: Any, *_: Any) -> Any:
        return tensor

    # Of the base class, which its type description leaves out.
    stack: list[Any]
    pop_mark: Callable[[], list[Any]]

    def _empty_dictionary(self) -> None:
        self.stack.append(_Dict())

    def _dictionary(self) -> None:
        items = iter(self.pop_mark())
        self.stack.append(_Dict(zip(items, items, strict=True)))

    def _refuse_sets(self) -> None:
        raise pickle.UnpicklingError("a set, which no network has")

    dispatch[pickle.EMPTY_DICT[0]] = _empty_dictionary
    dispatch[pickle.DICT[0]] = _dictionary
    for _opcode in (pickle.EMPTY_SET, pickle.FROZENSET, pickle.ADDITEMS):
        dispatch[_opcode[0]] = _refuse_sets


def read_torch_file(path: pathlib.Path) -> Tensors:
    """Returns the tensors of a state_dict by name, in PyTorch's shapes.

    The state_dict may lie under `state_dict` or `model` of a dictionary, and all names may begin
    with `module.`. Whatever else lies beside the tensors is passed over.

    Args:
      path: a file written by `torch.save`, in either format.

    Raises:
      WeightsFileError: the file holds no tensors, or its pickle names a function that makes none.
        Nothing of it has run then.
      Exception: of those that `damage_explained` turns into a sentence.
    """
    with path.open("rb") as file:
        is_zip = file.read(4) == _ZIP_START
        file.seek(0)
        root = _read_zip(file, path) if is_zip else _read_legacy(file, path)
    found = _find_tensors(root)
    check_bytes(sum(tensor.count_bytes() for tensor in found.values()))
    if not found:
        raise WeightsFileError(f"{path} holds no tensors by name: save the network's state_dict.")
    return {name: tensor.array() for name, tensor in found.items()}


def _read_zip(file: BinaryIO, path: pathlib.Path) -> Any:
    with zipfile.ZipFile(file) as archive:
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise ValueError("a compressed archive, which PyTorch never writes")
        (pickled,) = (n for n in archive.namelist() if n.endswith("data.pkl") and n.count("/") < 2)
        folder = pickled.removesuffix("data.pkl")
        order = "<"
        if f"{folder}byteorder" in archive.namelist():
            order = {b"little": "<", b"big": ">"}[archive.read(f"{folder}byteorder")]

        loaded: dict[str, _Storage] = {}

        def load_storage(key: str, dtype: np.dtype, count: int) -> _Storage:
            # Tensors may share a storage, which is then read once.
            if key not in loaded:
                loaded[key] = _Storage(
                    _decode(archive.read(f"{folder}data/{key}"), dtype, count, order)
                )
            return loaded[key]

        with archive.open(pickled) as stream:
            return _Unpickler(stream, path, load_storage).load()


def _read_legacy(file: BinaryIO, path: pathlib.Path) -> Any:
    room = os.fstat(file.fileno()).st_size
    storages: dict[str, _Storage] = {}

    def load_storage(key: str, dtype: np.dtype, count: int) -> _Storage:
        if not 0 <= count * dtype.itemsize <= room:
            raise ValueError("a storage larger than the file")
        if key not in storages:
            storages[key] = _Storage(np.empty(count, dtype))
        return storages[key]

    def load() -> Any:
        return _Unpickler(file, path, load_storage).load()

    if load() != _LEGACY_MAGIC or load() != _LEGACY_PROTOCOL:
        raise ValueError("another format")
    order = "<" if load()["little_endian"] else ">"
    root = load()
    for key in load():
        values = storages[str(key)].values
        (count,) = struct.unpack("<q", file.read(8))
        if count != values.size:
            raise ValueError("a storage of another size")
        values[...] = _decode(file.read(count * values.itemsize), values.dtype, count, order)
    return root


def _decode(data: bytes, dtype: np.dtype, count: int, order: str) -> np.ndarray:
    if len(data) != count * dtype.itemsize:
        raise ValueError("a storage is cut short")
    values = np.frombuffer(data, dtype)
    return values.byteswap() if order == ">" else values


def _find_tensors(root: Any) -> dict[str, _Tensor]:
    for wrapper in _WRAPPERS:
        if isinstance(root, Mapping) and isinstance(root.get(wrapper), Mapping):
            root = root[wrapper]
            break
    if not isinstance(root, Mapping):
        return {}
    found = {str(name): value for name, value in root.items() if isinstance(value, _Tensor)}
    if all(name.startswith(_PARALLEL) for name in found):
        found = {name.removeprefix(_PARALLEL): value for name, value in found.items()}
    return found
