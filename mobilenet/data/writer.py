"""Writes a TFDS dataset in ArrayRecord form without TensorFlow, all of it or nothing."""

import contextlib
import dataclasses
import fcntl
import itertools
import math
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence

import tensorflow_datasets as tfds
from array_record.python import array_record_module
from tensorflow_datasets.proto import tf_example_pb2

from mobilenet.errors import UserError

VERSION = "1.0.0"

# Small enough to copy and to spread over readers, large enough that ImageNet has a few hundred
# files. TFDS aims at the same order of size.
_SHARD_BYTES = 256 * 2**20
_LEFTOVER_PREFIX = "incomplete."


class DatasetExistsError(UserError, FileExistsError):
    """The dataset is there already."""


@dataclasses.dataclass(frozen=True)
class Example:
    """One image to be stored: the file's bytes, unchanged; its class; its name for messages."""

    image: bytes
    label: int
    file_name: str


@contextlib.contextmanager
def new_dataset_directory(
    name: str, data_dir: str | os.PathLike[str], *, overwrite: bool = False
) -> Iterator[pathlib.Path]:
    """Gives a directory to fill, which becomes `data_dir/name/1.0.0` when the block succeeds.

    The final directory appears by one rename. When the block raises, nothing is left; what a killed
    process left is removed by the next call. Calls for one dataset on one machine wait for each
    other.

    Args:
      name: the dataset's name, in lower case, digits and underscores.
      data_dir: the folder of all datasets.
      overwrite: replace an existing dataset, at the very end.

    Raises:
      UserError: the name is not allowed.
      DatasetExistsError: the dataset exists, and `overwrite` is not set.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UserError(
            f"The dataset name {name!r} is not allowed: use lower-case letters, digits and "
            "underscores, beginning with a letter."
        )
    parent = pathlib.Path(data_dir).expanduser() / name
    final = parent / VERSION
    with locked_directory(parent):
        for leftover in parent.glob(f"{_LEFTOVER_PREFIX}*"):
            shutil.rmtree(leftover)
        check_absent(final, overwrite=overwrite, other="another name or data_dir")
        scratch = pathlib.Path(tempfile.mkdtemp(prefix=_LEFTOVER_PREFIX, dir=parent))
        try:
            filled = scratch / VERSION
            filled.mkdir()
            yield filled
            if final.exists():
                final.rename(scratch / "replaced")
            filled.rename(final)
        finally:
            shutil.rmtree(scratch)
            if not any(parent.iterdir()):
                parent.rmdir()


def check_absent(final: pathlib.Path, *, overwrite: bool, other: str) -> None:
    """Refuses a dataset `name/version` that is there, and names what `other` to choose."""
    if final.exists() and not overwrite:
        raise DatasetExistsError(
            f"The dataset {final.parent.name} exists already in {final}: choose {other}, or pass "
            "--overwrite to replace it."
        )


@contextlib.contextmanager
def locked_directory(directory: pathlib.Path, *, wait: bool = True) -> Iterator[None]:
    """Makes `directory` and holds it alone, among the processes of this machine.

    Raises:
      BlockingIOError: another process holds it, and `wait` is not set.
    """
    # The kernel drops the lock of a killed process, so a leftover seen under the lock has no owner.
    while True:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            # The owner before us may have removed the directory that we waited for.
            if directory.exists() and os.path.samestat(os.fstat(descriptor), directory.stat()):
                yield
                return
        finally:
            os.close(descriptor)


def image_features(
    class_names: Sequence[str], *, encoding_format: str | None = None
) -> tfds.features.FeaturesDict:
    """The features `image`, `label` and `file_name`.

    Args:
      class_names: in the order of the labels.
      encoding_format: `jpeg` if all images are; None where JPEG and PNG files may be mixed.
    """
    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format=encoding_format),
            "label": tfds.features.ClassLabel(names=list(class_names)),
            "file_name": tfds.features.Text(),
        }
    )


def serialize_example(example: Example) -> bytes:
    """The record for `image_features`; equal examples give equal bytes.

    TFDS writes the three features in an order that differs between processes.
    """
    message = tf_example_pb2.Example()
    feature = message.features.feature
    feature["image"].bytes_list.value.append(example.image)
    feature["label"].int64_list.value.append(example.label)
    feature["file_name"].bytes_list.value.append(example.file_name.encode())
    return message.SerializeToString(deterministic=True)


def write_array_record(path: os.PathLike[str], records: Iterable[bytes]) -> int:
    """Writes one ArrayRecord file, and gives the size of the records in bytes."""
    # Random access wants one record per chunk.
    writer = array_record_module.ArrayRecordWriter(os.fspath(path), "group_size:1")
    written = 0
    try:
        for record in records:
            written += len(record)
            writer.write(record)
    finally:
        writer.close()
    return written


def shard_path(
    directory: pathlib.Path, name: str, split: str, index: int, num_shards: int
) -> pathlib.Path:
    """Where TFDS keeps one of the files of a split of the dataset `name`."""
    template = tfds.core.ShardedFileTemplate(
        data_dir=directory, dataset_name=name, split=split, filetype_suffix="array_record"
    )
    return pathlib.Path(template.sharded_filepath(shard_index=index, num_shards=num_shards))


class DatasetWriter:
    """Writes splits of `image`, `label` and `file_name` into one directory of TFDS's layout."""

    def __init__(self, directory: pathlib.Path, name: str, class_names: Sequence[str]):
        self._directory = directory
        self._name = name
        self._features = image_features(class_names)
        self._splits: list[tfds.core.SplitInfo] = []

    def write_split(
        self, split: str, examples: Iterable[Example], *, num_examples: int, num_bytes: int
    ) -> None:
        """Writes one split, in the order given.

        Args:
          split: the split's name.
          examples: exactly `num_examples` of them.
          num_examples: their number, at least 1.
          num_bytes: the size of all images, from which the number of files follows.
        """
        num_shards = min(max(math.ceil(num_bytes / _SHARD_BYTES), 1), num_examples)
        bounds = [num_examples * shard // num_shards for shard in range(num_shards + 1)]
        iterator = iter(examples)
        written = 0
        for shard, (start, stop) in enumerate(itertools.pairwise(bounds)):
            path = shard_path(self._directory, self._name, split, shard, num_shards)
            part = itertools.islice(iterator, stop - start)
            records = (serialize_example(example) for example in part)
            written += write_array_record(path, records)
        lengths = [stop - start for start, stop in itertools.pairwise(bounds)]
        self._splits.append(
            tfds.core.SplitInfo(name=split, shard_lengths=lengths, num_bytes=written)
        )

    def write_metadata(self, *, description: str, homepage: str = "", citation: str = "") -> None:
        """Writes TFDS's `dataset_info.json`, `features.json` and class names, after the splits."""
        tfds.folder_dataset.write_metadata(
            data_dir=self._directory,
            features=self._features,
            split_infos=self._splits,
            version=VERSION,
            check_data=False,  # reads through tf.data
            description=description,
            homepage=homepage,
            citation=citation,
        )
