"""Small whole files of every format that is read, to be damaged."""

import gzip
import io
import pathlib
import struct
import tarfile
import tempfile
from collections.abc import Callable

import cv2
import numpy as np
import PIL.Image
import safetensors.numpy

from mobilenet.weights.keras_writer import write_keras_file
from mobilenet.weights.layout import Tensors
from tests.helpers.torch_files import torch_files

# Names as of Keras, whose format wants a layer and a variable.
TENSORS: Tensors = {
    "conv/kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "conv/bias": np.ones(4, np.float32),
    "norm/steps": np.full((), 7, np.int64),
}
_TABLE_MAGIC = 0xDB4775248B80FB57  # of LevelDB, table/format.h
_TYPES = {np.dtype(np.float32): 1, np.dtype(np.int64): 9}  # of TensorFlow, types.proto


def image_samples() -> list[bytes]:
    """Returns JPEG, PNG, BMP, GIF, WebP and TIFF files of noise."""
    noise = np.random.default_rng(0).integers(0, 256, (21, 34, 3), np.uint8)
    picture = PIL.Image.fromarray(noise)

    def encode(kind: str, mode: str = "RGB", **options: object) -> bytes:
        buffer = io.BytesIO()
        picture.convert(mode).save(buffer, kind, **options)
        return buffer.getvalue()

    return [
        encode("JPEG"), encode("JPEG", progressive=True), encode("JPEG", "CMYK"),
        encode("JPEG", "L"), encode("JPEG", subsampling=0, restart_marker_rows=1),
        encode("PNG"), encode("PNG", "P"), encode("PNG", "RGBA"), encode("PNG", "1"),
        cv2.imencode(".png", noise.astype(np.uint16) * 257)[1].tobytes(),
        encode("BMP"), encode("GIF", "P"), encode("WEBP"), encode("TIFF"),
    ]  # fmt: skip


def weight_samples() -> dict[str, list[bytes]]:
    """Returns files of the same tensors by the ending of their names."""
    index, shard = tensorflow_files()
    tar = _tar({"x.ckpt.index": index, "x.ckpt.data-00000-of-00001": shard})
    return {
        ".pth": list(torch_files(TENSORS)),
        ".safetensors": [safetensors.numpy.save(TENSORS)],
        ".h5": [_keras_file()],
        ".npz": [_npz(np.savez), _npz(np.savez_compressed)],
        ".ckpt.index": [index],
        ".tar": [tar],
        ".tgz": [gzip.compress(tar, mtime=0)],
    }


def _keras_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "x.h5"
        write_keras_file(TENSORS, path)
        return path.read_bytes()


def _npz(save: Callable[..., None]) -> bytes:
    buffer = io.BytesIO()
    save(buffer, **TENSORS)
    return buffer.getvalue()


def tensorflow_files() -> tuple[bytes, bytes]:
    """Returns index and only shard of a checkpoint of TensorFlow.

    The formats are named in `mobilenet.weights.tf_checkpoint`.
    """
    shard, entries = b"", [(b"", _number(1, 1))]
    for name, value in sorted(TENSORS.items()):
        shape = b"".join(_bytes(2, _number(1, size)) for size in value.shape)
        entry = _number(1, _TYPES[value.dtype]) + _bytes(2, shape)
        entry += _number(4, len(shard)) + _number(5, value.nbytes)
        entries.append((name.encode(), entry))
        shard += value.tobytes()
    blocks = b""

    def add(block: bytes) -> bytes:
        nonlocal blocks
        handle = _varint(len(blocks)) + _varint(len(block))
        # Neither compressed nor, for we do not look, summed.
        blocks += block + b"\0" + bytes(4)
        return handle

    data, meta = add(_block(entries)), add(_block([]))
    footer = meta + add(_block([(b"~", data)]))
    index = blocks + footer.ljust(40, b"\0") + struct.pack("<Q", _TABLE_MAGIC)
    return index, shard


def _tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _block(entries: list[tuple[bytes, bytes]]) -> bytes:
    """Entries without common beginnings of their keys, and one point of restart."""
    coded = (
        _varint(0) + _varint(len(key)) + _varint(len(value)) + key + value for key, value in entries
    )
    return b"".join(coded) + struct.pack("<II", 0, 1)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    coded = b""
    while number >= 0x80:
        coded += bytes([number & 0x7F | 0x80])
        number >>= 7
    return coded + bytes([number])
