"""Batches of images by Grain: the shuffled, endless stream to train on and one pass to evaluate.

A batch is a dictionary of uint8 `images[batch, height, width, 3]`, float32 `mask[batch]`, which is
1 for an image and 0 for padding or a corrupt record (the image is then black), and what the
task's target says of each image. The order, the random crops and the operations of a policy depend
on the global position in the stream alone, not on threads, worker processes or hosts.
"""

import dataclasses
import functools
import math
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import grain
import ml_collections
import numpy as np
from absl import flags, logging

from mobilenet.data import crops
from mobilenet.data.datasets import Split
from mobilenet.data.fake import FakeRecords
from mobilenet.data.images import DECODERS, INTERPOLATIONS, CorruptImageError, Image
from mobilenet.data.jpeg_frame import read_size
from mobilenet.data.policy import Policy
from mobilenet.data.records import Record, RecordError
from mobilenet.data.stream import NUMBERS, Row, ShuffledStream, rows_in_order
from mobilenet.errors import ConfigError

Batch = dict[str, np.ndarray]
# What is known of a record and its crop, as arrays of fixed shape: `mobilenet.tasks.task.Task`.
Target = Callable[[Split, Record | None, crops.Crop | None], Mapping[str, Any]]

_TRAIN_CROPS = ("inception", "pad_crop", "none")
_EVAL_CROPS = ("center", "central_fraction", "window")
_ON_CORRUPT = ("raise", "skip")


def train_batches(
    split: Split,
    data_config: ml_collections.ConfigDict,
    size: crops.Size,
    batch_size: int,
    seed: int,
    target: Target,
    start_step: int = 0,
    process_index: int = 0,
    process_count: int = 1,
    policy: Policy | None = None,
) -> "Batches":
    """Endless batches of randomly cropped images, every epoch in a new order.

    Batch k is a function of (seed, k): a run resumes by `start_step`, and host h of n holds the
    rows h * batch_size / n up to (h + 1) * batch_size / n of the global batch, which is the same
    for any n. Epochs follow each other without a gap, so a batch may hold the end of one and the
    start of the next. With `on_corrupt` `skip` a corrupt record keeps its place with mask 0, so
    that nothing else moves.

    Args:
      split: what to read.
      data_config: `config.data`.
      size: height and width of the images, pixels.
      batch_size: of all hosts together; each gets batch_size // process_count rows.
      seed: of order and crops, 0 to 2**32 - 1.
      target: of the task; pickled for worker processes.
      start_step: the first batch to give.
      process_index: this host.
      process_count: number of hosts.
      policy: what becomes of an image after its crop.

    Returns:
      Batches, whose `close` stops their threads and processes; so does dropping them.

    Raises:
      ConfigError: a value cannot work; the message names the key. At once, not at the first batch.
      CorruptImageError: from the iterator, with `on_corrupt` `raise`.
    """
    _check_sizes(size, batch_size, process_index, process_count, "config.batch_size")
    _check_reading(data_config)
    if not 0 <= seed < 2**32:
        raise ConfigError(f"config.seed is {seed}: it must be from 0 to 2**32 - 1.")
    if start_step < 0:
        raise ValueError(f"start_step is {start_step}: it must not be negative.")
    share = _Share(batch_size, process_index, process_count)
    rows = ShuffledStream(split.num_examples, seed, policy.numbers if policy else 0).rows
    crop = _train_crop(data_config, size)
    load = _Loader(split, data_config, size, crop, share, rows, target, policy=policy)
    return Batches(load, range(start_step, sys.maxsize // batch_size), data_config)


def eval_batches(
    split: Split,
    data_config: ml_collections.ConfigDict,
    size: crops.Size,
    batch_size: int,
    target: Target,
    process_index: int = 0,
    process_count: int = 1,
) -> "Batches":
    """Every record of the split once, in order, in full batches; padding has mask 0.

    All hosts get the same number of batches, ceil(num_examples / batch_size). Without corrupt
    records the masks of all hosts sum to `split.num_examples`; with `on_corrupt` `skip` the
    difference is the number of records that were skipped.

    Args, Returns, Raises: as `train_batches`.
    """
    key = "config.evaluation.batch_size"
    _check_sizes(size, batch_size, process_index, process_count, key)
    _check_reading(data_config)
    share = _Share(batch_size, process_index, process_count)
    crop = _eval_crop(data_config, size)
    load = _Loader(split, data_config, size, crop, share, rows_in_order, target)
    return Batches(load, range(math.ceil(split.num_examples / batch_size)), data_config)


@dataclasses.dataclass(frozen=True)
class _Share:
    """Which positions of the stream are in a batch of this host."""

    batch_size: int
    process_index: int
    process_count: int

    def positions(self, step: int) -> range:
        size = self.batch_size // self.process_count
        # As the devices of a mesh share it, so that a row has the same place whatever the hosts.
        first = step * self.batch_size + self.process_index * size
        return range(first, first + size)


class _Loader:
    """Number of a batch -> the batch, read and decoded. Goes to worker processes."""

    def __init__(
        self,
        split: Split,
        data_config: ml_collections.ConfigDict,
        size: crops.Size,
        choose_crop: Callable[..., crops.Crop],
        share: _Share,
        rows: Callable[[range], list[Row]],
        target: Target,
        *,
        policy: Policy | None = None,
    ):
        self._split = split
        self._decode = DECODERS[data_config.decoder]
        self._choose_crop = choose_crop
        self._share = share
        self._rows = rows
        self._target = target
        self._policy = policy
        self._size = size
        self._skip = data_config.on_corrupt == "skip"

    def __call__(self, step: int) -> Batch:
        rows = self._rows(self._share.positions(step))
        blank = {"mask": np.float32(0), **self._target(self._split, None, None)}
        batch = {key: np.repeat(np.asarray(x)[None], len(rows), 0) for key, x in blank.items()}
        # Every image is written in its place, since stacking them copies every one again.
        images = batch["images"] = np.empty((len(rows), *self._size, 3), np.uint8)
        for place, row in enumerate(rows):
            known = self._load(row, images[place])
            if known is None:
                images[place] = 0
                continue
            for key, value in known.items():
                batch[key][place] = value
            batch["mask"][place] = 1
        return batch

    def _load(self, row: Row, out: Image) -> Mapping[str, Any] | None:
        """Fills `out` and returns the target; None: padding, or corrupt where that is skipped."""
        index, source = row.record, self._split.source
        if index >= self._split.num_examples:
            return None
        record, crop = source[index], None
        try:
            if isinstance(source, FakeRecords):
                source.draw(index, out)
            else:
                crop = self._write(record.image, row.numbers, out)
            return self._target(self._split, record, crop)
        except RecordError as error:
            raise ConfigError(f"{self._where(index, record.file_name)} {error}.") from None
        except CorruptImageError as error:
            where = self._where(index, record.file_name)
            if not self._skip:
                raise CorruptImageError(
                    f"{where} cannot be read: {error}; replace the image and prepare the dataset "
                    "again, or set config.data.on_corrupt=skip."
                ) from None
            logging.warning("%s is skipped: %s.", where, error)
            return None

    def _write(self, data: bytes, numbers: Sequence[float], out: Image) -> crops.Crop:
        size = read_size(data)
        if size:
            crop = self._choose_crop(*size, numbers)
            image = self._decode(data, crop.rows)
        else:
            image = self._decode(data)
            crop = self._choose_crop(*image.shape[:2], numbers)
        crop.write(image, out)
        if self._policy:
            out[...] = self._policy(out, numbers[NUMBERS:])
        return crop

    def _where(self, index: int, file_name: str | None) -> str:
        named = f" ({file_name})" if file_name else ""
        return f"Image {index}{named} of {self._split.name}, split {self._split.split!r},"


class Batches(Iterator[Batch]):
    """Loads batches in threads, or in worker processes that run threads, from the first one on."""

    def __init__(
        self,
        load: Callable[[int], Batch],
        steps: range,
        data_config: ml_collections.ConfigDict,
    ):
        threads, workers = data_config.num_threads, data_config.num_workers
        buffered = max(data_config.prefetch_batches // max(workers, 1), 1)
        options = grain.ReadOptions(
            num_threads=threads, prefetch_buffer_size=max(buffered, threads)
        )
        # Batches are what Grain deals out, since every process would fill its own from single rows.
        dataset = grain.MapDataset.range(steps.start, steps.stop).map(load)
        stream = dataset.to_iter_dataset(options)
        if workers:
            # Grain's worker start reads absl flags, which only absl's own main would parse.
            if not flags.FLAGS.is_parsed():
                flags.FLAGS.mark_as_parsed()
            stream = stream.mp_prefetch(grain.MultiprocessingOptions(workers, buffered))
            # Batches come through pipes. Shared memory would take a third less of this process's
            # time, but nobody removes it when Python exits, and containers have little of it.
            stream = grain.experimental.WithOptionsIterDataset(
                stream, grain.experimental.DatasetOptions(min_shm_size=sys.maxsize)
            )
        self._stream: grain.IterDataset | None = stream
        self._running: list[grain.DatasetIterator] = []
        # Also runs at exit, while the modules that Grain's own clean-up needs are still there.
        self._stop = weakref.finalize(self, _close_all, self._running)

    def __next__(self) -> Batch:
        if self._stream is not None:
            self._running.append(iter(self._stream))
            self._stream = None
        if not self._running:
            raise ValueError("The iterator of batches is closed: make a new one.")
        return next(self._running[0])

    def close(self) -> None:
        """Stops the threads and processes; twice is harmless."""
        self._stream = None
        self._stop()


def _close_all(iterators: list[grain.DatasetIterator]) -> None:
    # Emptying the list deletes the iterator now: its `__del__` fails when the interpreter is gone.
    while iterators:
        iterators.pop().close()


def _train_crop(
    data_config: ml_collections.ConfigDict, size: crops.Size
) -> Callable[..., crops.Crop]:
    name = _choice(data_config, "train_crop", _TRAIN_CROPS)
    common = {"size": size, "interpolation": data_config.interpolation}
    if name == "inception":
        area = _ordered_pair(data_config, "crop_area")
        if area[1] > 1:
            raise ConfigError(f"config.data.crop_area is {area}: it must not exceed 1.")
        aspect = _ordered_pair(data_config, "crop_aspect")
        return functools.partial(crops.inception_crop, area=area, aspect=aspect, **common)
    if name == "pad_crop":
        padding = _at_least(data_config, "crop_padding", 0)
        return functools.partial(crops.pad_crop, padding=padding, **common)
    return functools.partial(crops.squash, **common)


def _eval_crop(
    data_config: ml_collections.ConfigDict, size: crops.Size
) -> Callable[..., crops.Crop]:
    name = _choice(data_config, "eval_crop", _EVAL_CROPS)
    fraction = data_config.eval_fraction
    if not 0 < fraction <= 1:
        raise ConfigError(f"config.data.eval_fraction is {fraction}: it must be in (0, 1].")
    if name == "window":
        return functools.partial(crops.window_crop, size=size)
    choose = crops.center_crop if name == "center" else crops.central_fraction_crop
    return functools.partial(
        choose, size=size, fraction=fraction, interpolation=data_config.interpolation
    )


def _check_sizes(
    size: crops.Size, batch_size: int, process_index: int, process_count: int, batch_key: str
) -> None:
    if min(size) < 1:
        raise ConfigError(f"config.model.resolution is {min(size)}: it must be at least 1 pixel.")
    if not 0 <= process_index < process_count:
        raise ValueError(f"process_index is {process_index}: there are {process_count} processes.")
    if batch_size < 1 or batch_size % process_count:
        raise ConfigError(
            f"{batch_key} is {batch_size}: it must be a positive multiple of the number of hosts, "
            f"{process_count}."
        )


def _check_reading(data_config: ml_collections.ConfigDict) -> None:
    _choice(data_config, "decoder", DECODERS)
    _choice(data_config, "interpolation", INTERPOLATIONS)
    _choice(data_config, "on_corrupt", _ON_CORRUPT)
    _at_least(data_config, "num_threads", 1)
    _at_least(data_config, "num_workers", 0)
    _at_least(data_config, "prefetch_batches", 1)


def _choice(
    data_config: ml_collections.ConfigDict, key: str, allowed: tuple[str, ...] | Mapping[str, Any]
) -> str:
    value = data_config[key]
    if value not in allowed:
        raise ConfigError(f"config.data.{key} is {value!r}: it must be {' or '.join(allowed)}.")
    return value


def _at_least(data_config: ml_collections.ConfigDict, key: str, least: int) -> int:
    value = data_config[key]
    if value < least:
        raise ConfigError(f"config.data.{key} is {value}: it must be at least {least}.")
    return value


def _ordered_pair(data_config: ml_collections.ConfigDict, key: str) -> tuple[float, float]:
    value = data_config[key]
    is_pair = isinstance(value, tuple) and len(value) == 2
    if not is_pair or not all(isinstance(x, int | float) for x in value):
        raise ConfigError(f"config.data.{key} is {value!r}: it must be a pair, such as (0.5, 1.0).")
    low, high = value
    if not 0 < low <= high:
        raise ConfigError(
            f"config.data.{key} is ({low}, {high}): both must be positive, the smaller one first."
        )
    return float(low), float(high)
