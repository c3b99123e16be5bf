"""What an input holds: every image's name, label and place, before anything is written."""

import dataclasses
import os
import pathlib
from typing import Literal, NamedTuple

from mobilenet.data.prepare.imagenet.labels import ImagenetError

TRAIN = "train"
VALIDATION = "validation"


class Member(NamedTuple):
    """One image, or one stored record, and where its bytes are.

    Attributes:
      name: the image's file name without folders; of a record, a name for messages.
      label: 0 to 999; -1 of a record, which carries its own, and before the label is known.
      container: index in `Listing.containers`.
      offset: where the bytes begin in the container; -1 if that is the folder of the file `name`.
      size: in bytes.
      time: when the file that holds the bytes was changed, in nanoseconds.
    """

    name: str
    label: int
    container: int
    offset: int
    size: int
    time: int


@dataclasses.dataclass(frozen=True)
class Listing:
    """All images of an input.

    Attributes:
      kind: whether the members are image files or TFDS's serialized records.
      containers: the paths of tars, of folders, or of TFRecord files.
      splits: the members of `train` and `validation`; records in their order, which is kept.
    """

    kind: Literal["images", "records"]
    containers: tuple[str, ...]
    splits: dict[str, list[Member]]


class ByteReader:
    """Reads members; keeps the tars open that it has read from. Not for threads."""

    def __init__(self, containers: tuple[str, ...]):
        self._containers = containers
        self._descriptors: dict[int, int] = {}

    def __enter__(self) -> "ByteReader":
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()

    def read(self, member: Member) -> bytes:
        """The member's bytes.

        Raises:
          ImagenetError: there are fewer than were listed.
          OSError: the file cannot be read.
        """
        if member.offset < 0:
            data = pathlib.Path(self._containers[member.container], member.name).read_bytes()
        else:
            descriptor = self._descriptors.get(member.container)
            if descriptor is None:
                descriptor = os.open(self._containers[member.container], os.O_RDONLY)
                self._descriptors[member.container] = descriptor
            data = os.pread(descriptor, member.size, member.offset)
        if len(data) != member.size:
            raise ImagenetError("its size has changed meanwhile")
        return data

    def where(self, member: Member) -> str:
        """The member's place, for messages."""
        return f"{self._containers[member.container]}: {member.name}"
