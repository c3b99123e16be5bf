"""Which image goes into which file, and the writing of one file."""

import dataclasses
import functools
import hashlib
import json
import pathlib
from typing import Literal

from tensorflow_datasets.core.utils import shard_utils
from tensorflow_datasets.proto import tf_example_pb2

from mobilenet.data.images import CorruptImageError
from mobilenet.data.prepare.imagenet.jpeg import to_stored_jpeg
from mobilenet.data.prepare.imagenet.labels import ImagenetError, class_numbers
from mobilenet.data.prepare.imagenet.listing import ByteReader, Listing, Member
from mobilenet.data.writer import Example, serialize_example, write_array_record
from mobilenet.runtime.whole_file import whole_file

# What a serialized example of TFDS has beside the image and the file's name, in bytes.
_EXAMPLE_OVERHEAD = 70


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file to be written.

    Attributes:
      split: `train` or `validation`.
      index: of this file in the split.
      num_shards: of the split.
      members: what it holds, in order.
    """

    split: str
    index: int
    num_shards: int
    members: tuple[Member, ...]

    @functools.cached_property
    def digest(self) -> str:
        """Stands for all that the file's content follows from, but for the images' own bytes."""
        digest = hashlib.sha256()
        for name, label, _, offset, size, time in self.members:
            digest.update(f"{name}/{label}/{offset}/{size}/{time}\n".encode())
        return digest.hexdigest()


@dataclasses.dataclass(frozen=True)
class ShardTask:
    """What a worker process needs to write one file.

    Attributes:
      shard: the file's content.
      kind: as in `Listing`.
      containers: as in `Listing`.
      keep_damaged: store images that cannot be decoded as they are.
      path: the file.
      marker: where its receipt is kept.
    """

    shard: Shard
    kind: Literal["images", "records"]
    containers: tuple[str, ...]
    keep_damaged: bool
    path: pathlib.Path
    marker: pathlib.Path


@dataclasses.dataclass(frozen=True)
class Receipt:
    """What is known of a file that was written.

    Attributes:
      digest: that of its shard.
      file_bytes: the file's size.
      record_bytes: the size of all records.
      converted: how many images are no longer the bytes that they were.
      damaged: how many images were kept that cannot be decoded.
    """

    digest: str
    file_bytes: int
    record_bytes: int
    converted: int
    damaged: int


def plan_shards(listing: Listing) -> list[Shard]:
    """Divides the splits into files.

    Images get the order and the files that TFDS gives them: sorted by the MD5 of the split's name
    and the file's name, and cut into as many files as TFDS's rule says. Records stay in their order
    and files. Source: tensorflow_datasets/core/hashing.py, shuffle.py, utils/shard_utils.py.
    """
    shards = []
    for split, members in listing.splits.items():
        if listing.kind == "records":
            parts: dict[int, list[Member]] = {}
            for member in members:
                parts.setdefault(member.container, []).append(member)
            cut = list(parts.values())
        else:
            salt = hashlib.md5(split.encode(), usedforsecurity=False)
            ordered = sorted(members, key=lambda member: _hash(salt, member.name))
            cut = _cut(ordered)
        shards += [Shard(split, index, len(cut), tuple(part)) for index, part in enumerate(cut)]
    return shards


def _hash(salt: "hashlib._Hash", name: str) -> bytes:
    salted = salt.copy()
    salted.update(name.encode())
    return salted.digest()


def _cut(members: list[Member]) -> list[list[Member]]:
    size = sum(member.size + len(member.name) + _EXAMPLE_OVERHEAD for member in members)
    number = shard_utils.ShardConfig.calculate_number_shards(size, len(members))
    stops = shard_utils.get_shard_boundaries(len(members), number)
    return [members[start:stop] for start, stop in zip([0, *stops[:-1]], stops, strict=True)]


def write_shard(task: ShardTask) -> Receipt | list[str]:
    """Writes one file; it appears at once when it is complete, followed by its receipt.

    All images of the file are held in memory, so that they can be read in the order in which they
    lie on the disk: some 140 MB.

    Returns:
      The receipt; or all images that cannot be decoded, and then nothing is written.
    """
    members = task.shard.members
    records: list[bytes] = [b""] * len(members)
    bad: list[str] = []
    converted = damaged = 0
    with ByteReader(task.containers) as reader:
        by_place = sorted(
            range(len(members)), key=lambda i: (members[i].container, members[i].offset)
        )
        for i in by_place:
            try:
                data = reader.read(members[i])
                image = data if task.kind == "images" else _image_of(data)
                try:
                    stored, changed = to_stored_jpeg(image)
                except CorruptImageError:
                    if not task.keep_damaged:
                        raise
                    stored, changed = image, False
                    damaged += 1
                if task.kind == "images":
                    converted += changed
                    example = Example(stored, members[i].label, members[i].name)
                    records[i] = serialize_example(example)
                else:
                    records[i] = data
            except (CorruptImageError, ImagenetError, OSError) as error:
                bad.append(f"{reader.where(members[i])} ({error})")
    if bad:
        return bad
    with whole_file(task.path) as part:
        try:
            record_bytes = write_array_record(part, records)
        except RuntimeError as error:  # what the ArrayRecord writer makes of a full disk
            raise OSError(str(error)) from error
        size = part.stat().st_size
    receipt = Receipt(task.shard.digest, size, record_bytes, converted, damaged)
    with whole_file(task.marker) as part:
        part.write_text(json.dumps(dataclasses.asdict(receipt)))
    return receipt


def read_receipt(task: ShardTask) -> Receipt | None:
    """The receipt of a file that an earlier run has finished, from the same images; else None."""
    try:
        receipt = Receipt(**json.loads(task.marker.read_text()))
        complete = task.path.stat().st_size == receipt.file_bytes
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return receipt if complete and receipt.digest == task.shard.digest else None


def _image_of(data: bytes) -> bytes:
    """The image in a serialized record of imagenet2012."""
    try:
        feature = tf_example_pb2.Example.FromString(data).features.feature
        (image,) = feature["image"].bytes_list.value
        (label,) = feature["label"].int64_list.value
        (_,) = feature["file_name"].bytes_list.value
    except ValueError as error:
        raise ImagenetError("it is no record of imagenet2012") from error
    except Exception as error:  # protobuf's DecodeError, whose class depends on the implementation
        raise ImagenetError(f"it cannot be parsed: {error}") from error
    if not 0 <= label < len(class_numbers()):
        raise ImagenetError(f"it has the label {label}")
    return image
