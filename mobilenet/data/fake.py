"""Random images in place of a dataset, for benchmarks and to see whether a config runs."""

import zlib

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import UInt8

from mobilenet.data.known import find_known
from mobilenet.data.records import Record
from mobilenet.errors import ConfigError

# Longer than an image of 836 x 836 pixels, and short enough to stay in the caches of a processor.
_NOISE_BYTES = 2**21


class FakeRecords:
    """Records whose label and pixels are functions of the split's name and the index alone.

    There are no image files: `draw` writes pixels of whatever size the network wants. They are a
    piece of a long row of noise, whose copying takes some microseconds where making fresh noise
    takes hundreds, so that fake data keep up with any device.
    """

    def __init__(self, split: str, num_examples: int, num_classes: int):
        self._seed = zlib.crc32(split.encode())
        self._num_examples = num_examples
        self._num_classes = num_classes
        bits = np.random.Philox(key=[self._seed, 0]).random_raw(_NOISE_BYTES // 8)
        self._noise = bits.view(np.uint8)

    def __len__(self) -> int:
        return self._num_examples

    def __getitem__(self, index: int) -> Record:
        """Returns the label, with an image file of no bytes."""
        if not 0 <= index < len(self):
            raise IndexError(f"Record {index} is out of range: there are {len(self)}.")
        return Record(b"", int(self._numbers(index)[0] % self._num_classes), None)

    def draw(self, index: int, out: UInt8[np.ndarray, "height width 3"]) -> None:
        """Fills `out`, contiguous, with the pixels of a record."""
        start = int(self._numbers(index)[1] % _NOISE_BYTES)
        flat, done = out.reshape(-1), 0
        while done < flat.size:
            piece = self._noise[start : start + flat.size - done]
            flat[done : done + piece.size] = piece
            start, done = 0, done + piece.size

    def _numbers(self, index: int) -> np.ndarray:
        return np.random.Philox(key=[self._seed, 1 + index]).random_raw(2)


def fake_splits(
    name: str, split: str, num_classes: int | None, num_examples: int | None
) -> tuple[tfds.core.splits.SplitDict, int]:
    """Returns the splits, which TFDS's notation can slice, and the number of classes.

    Args:
      name: the dataset that is to be faked.
      split: what will be read: every split that it names exists where the size is given.
      num_classes: None is that of the dataset, if it is a known one.
      num_examples: of every split; None is that of the dataset's splits.

    Raises:
      ConfigError: a number is missing or not positive.
    """
    known = find_known(name)
    for key, value in (("fake_classes", num_classes), ("fake_examples", num_examples)):
        if value is None and known is None:
            raise ConfigError(
                f"The size of the dataset {name} is not known here, so config.data.fake=True needs "
                f"config.data.{key}: set it."
            )
        if value is not None and value < 1:
            raise ConfigError(f"config.data.{key} is {value}: it must be at least 1.")
    sizes = dict(known.splits) if known else {}
    if num_examples is not None:
        named = (part.partition("[")[0].strip() for part in split.split("+"))
        sizes = dict.fromkeys((*sizes, *named), num_examples)
    classes = num_classes or (known.num_classes if known else 0)
    template = tfds.core.ShardedFileTemplate(
        data_dir="fake", dataset_name="fake", filetype_suffix="array_record"
    )
    infos = [
        tfds.core.SplitInfo(
            name=part, shard_lengths=[size], num_bytes=0, filename_template=template
        )
        for part, size in sizes.items()
        if part
    ]
    return tfds.core.splits.SplitDict(infos), classes
