"""Random access to the undecoded records of a TFDS split."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

from tensorflow_datasets.proto import tf_example_pb2


@dataclasses.dataclass(frozen=True)
class Record:
    """One example: the image file's bytes, its class, and the file's name where it is stored."""

    image: bytes
    label: int
    file_name: str | None


class RecordSource(Protocol):
    """Random access to records; picklable, because Grain sends it to worker processes."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Record: ...


@dataclasses.dataclass(frozen=True)
class ExampleSource:
    """Records of serialized `tf.train.Example`s, the form in which TFDS stores everything.

    Parsing the message here costs 5 us; TFDS's own feature decoding with `SkipDecoding` costs 60 to
    90 us, more than decoding a 32 x 32 JPEG.

    Attributes:
      examples: serialized messages with the features `image` (bytes) and `label` (one integer).
      file_name_feature: the text feature that names the file, or None.
    """

    examples: Sequence[Any]
    file_name_feature: str | None

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Record:
        message = tf_example_pb2.Example.FromString(self.examples[index])
        feature = message.features.feature
        name = self.file_name_feature
        return Record(
            image=feature["image"].bytes_list.value[0],
            label=feature["label"].int64_list.value[0],
            file_name=feature[name].bytes_list.value[0].decode() if name else None,
        )
