"""Reads TensorFlow's checkpoints without TensorFlow.

A checkpoint is a table of entries (`x.index`) and the tensors' bytes (`x.data-00000-of-00001`).
The table is LevelDB's (google/leveldb doc/table_format.md), uncompressed, and its values are
protocol buffers (tensorflow/core/protobuf/tensor_bundle.proto).
"""

import pathlib
import re
import struct
import tarfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from mobilenet.weights.damage import WeightsFileError, check_bytes
from mobilenet.weights.layout import Tensors

_MAGIC = 0xDB4775248B80FB57
_FOOTER_BYTES = 48

# tensorflow/core/framework/types.proto. Others, such as strings, are no weights.
_DTYPES: dict[int, np.dtype] = {
    1: np.dtype(np.float32),
    2: np.dtype(np.float64),
    3: np.dtype(np.int32),
    9: np.dtype(np.int64),
    14: np.dtype(jnp.bfloat16),
    19: np.dtype(np.float16),
}

# A number of 64 bits in groups of 7 (protocol buffers' encoding, "Base 128 Varints").
_VARINT_BYTES = 10

_SHARD = re.compile(r"\.data-(\d{5})-of-\d{5}$")


class _Entry(NamedTuple):
    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int


def read_tf_checkpoint(path: pathlib.Path) -> Tensors:
    """Returns the tensors of a checkpoint of numbers, by name.

    Args:
      path: the prefix of its files, such as `x.ckpt`; or its index, `x.ckpt.index`; or a .tgz or
        .tar that holds one checkpoint, as slim publishes them.

    Raises:
      WeightsFileError: files are missing.
      Exception: of those that `damage_explained` turns into a sentence.
    """
    is_tar = path.is_file() and path.name.endswith((".tgz", ".tar.gz", ".tar"))
    return _read(*(_open_tar(path) if is_tar else _open_files(path)))


def _open_files(path: pathlib.Path) -> tuple[bytes, Callable[[int], bytes]]:
    prefix = path.name.removesuffix(".index")
    shards = {
        int(match.group(1)): found
        for found in path.parent.iterdir()
        if found.name.startswith(prefix) and (match := _SHARD.fullmatch(found.name[len(prefix) :]))
    }
    index = path.with_name(f"{prefix}.index")
    if not index.is_file() or not shards:
        raise WeightsFileError(
            f"{path} is no checkpoint of TensorFlow: there must be {index.name} and "
            f"{prefix}.data-00000-of-00001 in {path.parent}."
        )
    return index.read_bytes(), lambda shard: shards[shard].read_bytes()


def _open_tar(path: pathlib.Path) -> tuple[bytes, Callable[[int], bytes]]:
    index: list[bytes] = []
    shards: dict[int, bytes] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            match = _SHARD.search(member.name)
            # Links may lead in a circle, and sparse files be mostly nothing.
            is_plain = member.isreg() and not member.issparse()
            if not is_plain or not (match or member.name.endswith(".index")):
                continue
            check_bytes(member.size + sum(len(read) for read in (*index, *shards.values())))
            file = archive.extractfile(member)
            assert file is not None
            if match:
                shards[int(match.group(1))] = file.read()
            else:
                index.append(file.read())
    if len(index) != 1:
        raise WeightsFileError(
            f"{path} holds {len(index)} checkpoints of TensorFlow: it must hold one."
        )
    return index[0], lambda shard: shards[shard]


def _read(index: bytes, read_shard: Callable[[int], bytes]) -> Tensors:
    entries = dict(_table(index))
    header = dict(_fields(entries.pop(b"")))
    if header.get(2, 0) != 0:
        raise ValueError("its numbers are big-endian")
    data: dict[int, bytes] = {}
    tensors = {}
    for name, value in entries.items():
        entry = _parse_entry(value)
        if entry.dtype not in _DTYPES:
            continue
        dtype = _DTYPES[entry.dtype]
        if entry.shard not in data:
            data[entry.shard] = read_shard(entry.shard)
        piece = data[entry.shard][entry.offset : entry.offset + entry.size]
        count = int(np.prod(entry.shape, dtype=object))
        if len(piece) != entry.size or entry.size != count * dtype.itemsize:
            raise ValueError(f"the values of {name.decode()} are cut short")
        tensors[name.decode()] = np.frombuffer(piece, dtype).reshape(entry.shape)
    return tensors


def _parse_entry(data: bytes) -> _Entry:
    numbers = {1: 0, 3: 0, 4: 0, 5: 0}
    shape: list[int] = []
    for field, value in _fields(data):
        if field == 2:
            for _, dimension in _fields(_message(value)):
                # Protocol buffers leave a zero out.
                shape.append(int(dict(_fields(_message(dimension))).get(1, 0)))
        elif field in numbers:
            numbers[field] = int(value)
        elif field == 7:
            raise ValueError("it holds tensors in slices")
    return _Entry(numbers[1], tuple(shape), numbers[3], numbers[4], numbers[5])


def _message(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number in the place of a message")
    return value


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields keys and values of a table."""
    footer = data[-_FOOTER_BYTES:]
    if len(footer) < _FOOTER_BYTES or struct.unpack("<Q", footer[-8:])[0] != _MAGIC:
        raise ValueError("no table of entries")
    place = 0
    for _ in range(2):  # the handle of the metaindex, which nobody uses
        _, place = _varint(footer, place)
    room = len(data)
    for _, handle in _block(data, footer[place:]):
        for key, value in _block(data, handle):
            # Every entry has three bytes of its own, so more of them are the same blocks again.
            room -= 3
            if room < 0:
                raise ValueError("more entries than fit into it")
            yield key, value


def _block(data: bytes, handle: bytes) -> Iterator[tuple[bytes, bytes]]:
    offset, place = _varint(handle, 0)
    size, _ = _varint(handle, place)
    block, kind = data[offset : offset + size], data[offset + size]
    if kind != 0:
        raise ValueError("its table is compressed")
    (restarts,) = struct.unpack("<I", block[-4:])
    end, place, key = size - 4 * (restarts + 1), 0, b""
    while place < end:
        shared, place = _varint(block, place)
        fresh, place = _varint(block, place)
        length, place = _varint(block, place)
        key = key[:shared] + block[place : place + fresh]
        place += fresh
        yield key, block[place : place + length]
        place += length


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yields the numbers and values of the fields of a protocol buffer."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        field, kind = tag >> 3, tag & 7
        if kind == 0:
            number, place = _varint(data, place)
            yield field, number
            continue
        if kind == 2:
            size, place = _varint(data, place)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError("no protocol buffer")
        yield field, data[place : place + size]
        place += size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    number, shift = 0, 0
    while True:
        byte = data[place]
        number |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return number, place
        if shift == 7 * _VARINT_BYTES:
            raise ValueError("a number of too many bytes")
