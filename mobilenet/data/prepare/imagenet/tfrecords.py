"""Lists a preparation of imagenet2012 that TFDS made as TFRecord files, without TensorFlow."""

import dataclasses
import json
import os
import pathlib
import struct

import tensorflow_datasets as tfds
import tqdm

from mobilenet.data.prepare.imagenet.labels import ImagenetError, class_numbers
from mobilenet.data.prepare.imagenet.listing import TRAIN, VALIDATION, Listing, Member
from mobilenet.data.prepare.imagenet.workers import Workers

NAME = "imagenet2012"
_INFO = "dataset_info.json"

# A record is framed by its length, 8 bytes, little endian; the masked CRC-32C of the length, 4
# bytes; after the data their CRC, 4 bytes. Source: tensorflow/core/lib/io/record_writer.h.
_HEADER = struct.Struct("<QI")
_FOOTER_BYTES = 4
_CRC_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected
_CRC_MASK_DELTA = 0xA282EAD8  # tensorflow/core/lib/hash/crc32c.h


@dataclasses.dataclass(frozen=True)
class _File:
    path: str
    split: str
    num_records: int


def find_preparation(source: pathlib.Path) -> pathlib.Path | None:
    """The directory of TFDS's files in `source`, in `source/5.1.0` or one of its like, or None."""
    found = [
        path.parent
        for pattern in (_INFO, f"5.*/{_INFO}", f"{NAME}/5.*/{_INFO}")
        for path in source.glob(pattern)
    ]
    return max(found, key=lambda path: path.name, default=None)


def list_tfrecords(directory: pathlib.Path, workers: Workers) -> Listing:
    """Lists the records of `train` and `validation` in their order; other splits are left out.

    Only the frames are read, whose lengths carry a checksum.

    Raises:
      ImagenetError: it is no TFRecord preparation of imagenet2012, or a file is missing or damaged.
    """
    files = _expected_files(directory)
    for file in files:
        if not pathlib.Path(file.path).is_file():
            raise ImagenetError(f"{file.path} is missing: complete the preparation.")
    numbers = {file: number for number, file in enumerate(files)}
    found: dict[int, list[Member]] = {}
    with tqdm.tqdm(total=len(files), desc="Reading the frames", unit="file") as progress:
        for file, members in workers.run(_list_records, files):
            found[numbers[file]] = [m._replace(container=numbers[file]) for m in members]
            progress.update()
    splits: dict[str, list[Member]] = {TRAIN: [], VALIDATION: []}
    for file, number in numbers.items():
        splits[file.split].extend(found[number])
    return Listing("records", tuple(file.path for file in files), splits)


def _expected_files(directory: pathlib.Path) -> list[_File]:
    again = (
        "name the directory of a TFRecord preparation of imagenet2012, such as imagenet2012/5.1.0"
    )
    try:
        description = json.loads((directory / _INFO).read_text())
        name = description["name"]
        file_format = description.get("fileFormat", "tfrecord")  # absent from old preparations
        if name == NAME and file_format == "tfrecord":
            info = tfds.builder_from_directory(directory).info
    except (ValueError, KeyError, TypeError) as error:
        raise ImagenetError(f"{directory / _INFO} cannot be read ({error}): {again}.") from error
    if name != NAME:
        raise ImagenetError(f"{directory} holds the dataset {name}: {again}.")
    if file_format == "array_record":
        raise ImagenetError(
            f"{directory} is in ArrayRecord form already: train on it as it is, with "
            "config.data.data_dir as the folder that holds imagenet2012."
        )
    if file_format != "tfrecord":
        raise ImagenetError(f"{directory} is stored as {file_format}: {again}.")
    features = info.features
    if set(features) != {"image", "label", "file_name"} or (
        features["label"].names != list(class_numbers())
    ):
        raise ImagenetError(
            f"{directory} has other features or classes than TFDS's imagenet2012: {again}."
        )
    if missing := {TRAIN, VALIDATION} - set(info.splits):
        raise ImagenetError(f"{directory} has no split {', '.join(sorted(missing))}: {again}.")
    return [
        _File(os.fspath(path), split, count)
        for split in (TRAIN, VALIDATION)
        for path, count in zip(
            info.splits[split].filepaths, info.splits[split].shard_lengths, strict=True
        )
    ]


def _list_records(file: _File) -> list[Member]:
    path = pathlib.Path(file.path)
    members: list[Member] = []
    with path.open("rb", buffering=0) as stream:
        status = os.fstat(stream.fileno())
        position = 0
        while position < status.st_size:
            header = os.pread(stream.fileno(), _HEADER.size, position)
            start = position + _HEADER.size
            length, checksum = _HEADER.unpack(header) if len(header) == _HEADER.size else (0, 0)
            position = start + length + _FOOTER_BYTES
            if len(header) < _HEADER.size or checksum != _masked_crc(header[:8]):
                raise ImagenetError(f"{path} is damaged at record {len(members)}: get it again.")
            if position > status.st_size:
                raise ImagenetError(f"{path} is cut short in record {len(members)}: get it again.")
            name = f"record {len(members)}"
            members.append(Member(name, -1, 0, start, length, status.st_mtime_ns))
    if len(members) != file.num_records:
        raise ImagenetError(
            f"{path} has {len(members)} records, and {_INFO} says {file.num_records}: get it again."
        )
    return members


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CRC_POLYNOMIAL if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_CRC_TABLE = _crc_table()


def _masked_crc(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + _CRC_MASK_DELTA) & 0xFFFFFFFF
