"""Batches of images by Grain: the shuffled, endless stream to train on and one pass to evaluate.

A batch is a dictionary of uint8 `images[batch, height, width, 3]`, int32 `labels[batch]` and
float32 `mask[batch]`, which is 1 for an image and 0 for padding or a corrupt record (image and
label are then zeros). The order and the random crops depend on the global position in the stream
alone, not on threads, worker processes or hosts.
"""

import functools
import gc
import math
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import grain
import ml_collections
import numpy as np
from absl import flags, logging

from mobilenet.data import crops
from mobilenet.data.datasets import Split
from mobilenet.data.images import DECODERS, INTERPOLATIONS, CorruptImageError, Image
from mobilenet.errors import ConfigError

Batch = dict[str, np.ndarray]
_Row = dict[str, np.ndarray | np.generic]

_TRAIN_CROPS = ("inception", "pad_crop", "none")
_EVAL_CROPS = ("center", "central_fraction")
_ON_CORRUPT = ("raise", "skip")


def train_batches(
    split: Split,
    data_config: ml_collections.ConfigDict,
    resolution: int,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    process_index: int = 0,
    process_count: int = 1,
) -> Iterator[Batch]:
    """Endless batches of randomly cropped images, every epoch in a new order.

    Batch k is a function of (seed, k): a run resumes by `start_step`, and host h of n holds rows
    h, h + n, h + 2n, ... of the global batch. Epochs follow each other without a gap, so a batch
    may hold the end of one and the start of the next. With `on_corrupt` `skip` a corrupt record
    keeps its place with mask 0, so that nothing else moves.

    Args:
      split: what to read.
      data_config: `config.data`.
      resolution: height and width of the images, pixels.
      batch_size: of all hosts together; each gets batch_size // process_count rows.
      seed: of order and crops, 0 to 2**32 - 1.
      start_step: the first batch to give.
      process_index: this host.
      process_count: number of hosts.

    Returns:
      An iterator with a `close` method, which stops its threads and processes; so does dropping it.

    Raises:
      ConfigError: a value cannot work; the message names the key. At once, not at the first batch.
      CorruptImageError: from the iterator, with `on_corrupt` `raise`.
    """
    _check_sizes(resolution, batch_size, process_index, process_count, "config.batch_size")
    _check_reading(data_config)
    if not 0 <= seed < 2**32:
        raise ConfigError(f"config.seed is {seed}: it must be from 0 to 2**32 - 1.")
    if start_step < 0:
        raise ValueError(f"start_step is {start_step}: it must not be negative.")
    load = _Loader(split, data_config, resolution, _train_crop(data_config, resolution))
    stream = grain.MapDataset.range(split.num_examples).seed(seed).shuffle().repeat()
    # The random map comes before the hosts part ways: its generator is keyed by the position in its
    # input. Batching comes before threads and processes, which would each fill their own batches.
    rows = stream.random_map(load)[process_index::process_count]
    dataset = _batch(rows, batch_size // process_count)
    return _BatchIterator(dataset[start_step:], data_config)


def eval_batches(
    split: Split,
    data_config: ml_collections.ConfigDict,
    resolution: int,
    batch_size: int,
    process_index: int = 0,
    process_count: int = 1,
) -> Iterator[Batch]:
    """Every record of the split once, in order, in full batches; padding has mask 0.

    All hosts get the same number of batches, ceil(num_examples / batch_size). Without corrupt
    records the masks of all hosts sum to `split.num_examples`; with `on_corrupt` `skip` the
    difference is the number of records that were skipped.

    Args, Returns, Raises: as `train_batches`.
    """
    key = "config.evaluation.batch_size"
    _check_sizes(resolution, batch_size, process_index, process_count, key)
    _check_reading(data_config)
    load = _Loader(split, data_config, resolution, _eval_crop(data_config, resolution))
    padded = math.ceil(split.num_examples / batch_size) * batch_size
    rows = grain.MapDataset.range(padded)[process_index::process_count].map(load)
    dataset = _batch(rows, batch_size // process_count)
    return _BatchIterator(dataset, data_config)


class _Loader:
    """Position in the split -> one row of a batch. Goes to worker processes, so it is picklable."""

    def __init__(
        self,
        split: Split,
        data_config: ml_collections.ConfigDict,
        resolution: int,
        crop: Callable[..., Image],
    ):
        self._split = split
        self._decode = DECODERS[data_config.decoder]
        self._crop = crop
        self._resolution = resolution
        self._skip = data_config.on_corrupt == "skip"

    def __call__(self, index: int, *rng: np.random.Generator) -> _Row:
        if index >= self._split.num_examples:
            return self._row(None, 0)
        record = self._split.source[index]
        if not 0 <= record.label < self._split.num_classes:
            raise ConfigError(
                f"{self._where(index, record.file_name)} has the label {record.label}, and there "
                f"are {self._split.num_classes} classes: choose a split with labels."
            )
        try:
            image = self._decode(record.image)
        except CorruptImageError as error:
            where = self._where(index, record.file_name)
            if not self._skip:
                raise CorruptImageError(
                    f"{where} cannot be read: {error}; replace the image and prepare the dataset "
                    "again, or set config.data.on_corrupt=skip."
                ) from None
            logging.warning("%s is skipped: %s.", where, error)
            return self._row(None, 0)
        return self._row(self._crop(image, *rng), record.label)

    def _row(self, image: Image | None, label: int) -> _Row:
        valid = image is not None
        if image is None:
            image = np.zeros((self._resolution, self._resolution, 3), np.uint8)
        return {"images": image, "labels": np.int32(label), "mask": np.float32(valid)}

    def _where(self, index: int, file_name: str | None) -> str:
        named = f" ({file_name})" if file_name else ""
        return f"Image {index}{named} of {self._split.name}, split {self._split.split!r},"


def _batch(rows: grain.MapDataset, size: int) -> grain.MapDataset:
    return rows.batch(size, drop_remainder=True, batch_fn=_stack)


def _stack(rows: Sequence[_Row]) -> Batch:
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


class _BatchIterator(Iterator[Batch]):
    """Runs the dataset in threads, or in worker processes that run threads."""

    def __init__(self, dataset: grain.MapDataset, data_config: ml_collections.ConfigDict):
        threads, workers = data_config.num_threads, data_config.num_workers
        buffered = max(data_config.prefetch_batches // max(workers, 1), 1)
        options = grain.ReadOptions(
            num_threads=threads, prefetch_buffer_size=max(buffered, threads)
        )
        stream = dataset.to_iter_dataset(options)
        if workers:
            # Grain's worker start reads absl flags, which only absl's own main would parse.
            if not flags.FLAGS.is_parsed():
                flags.FLAGS.mark_as_parsed()
            stream = stream.mp_prefetch(grain.MultiprocessingOptions(workers, buffered))
        self._workers = workers
        self._running = [iter(stream)]
        # Also runs at exit, while the modules that Grain's own clean-up needs are still there.
        self._stop = weakref.finalize(self, _close_all, self._running, workers)

    def __next__(self) -> Batch:
        if not self._running:
            raise ValueError("The iterator of batches is closed: make a new one.")
        batch = next(self._running[0])
        if self._workers:
            # Workers pass shared memory, which nobody removes if it is in use when Python exits.
            batch = {key: np.array(value) for key, value in batch.items()}
        return batch

    def close(self) -> None:
        """Stops the threads and processes; twice is harmless."""
        self._stop()


def _close_all(iterators: list[grain.DatasetIterator], workers: int) -> None:
    # Emptying the list deletes the iterator now: its `__del__` fails when the interpreter is gone.
    while iterators:
        iterators.pop().close()
    if workers:
        # The traceback of a worker's end keeps its last batch, shared memory, in a cycle.
        gc.collect()


def _train_crop(
    data_config: ml_collections.ConfigDict, resolution: int
) -> Callable[[Image, np.random.Generator], Image]:
    name = _choice(data_config, "train_crop", _TRAIN_CROPS)
    common = {"resolution": resolution, "interpolation": data_config.interpolation}
    if name == "inception":
        area = _ordered_pair(data_config, "crop_area")
        if area[1] > 1:
            raise ConfigError(f"config.data.crop_area is {area}: it must not exceed 1.")
        aspect = _ordered_pair(data_config, "crop_aspect")
        return functools.partial(crops.inception_crop, area=area, aspect=aspect, **common)
    if name == "pad_crop":
        padding = _at_least(data_config, "crop_padding", 0)
        return functools.partial(crops.pad_crop, padding=padding, **common)
    return functools.partial(_without_rng, functools.partial(crops.squash, **common))


def _without_rng(crop: Callable[[Image], Image], image: Image, rng: np.random.Generator) -> Image:
    del rng
    return crop(image)


def _eval_crop(data_config: ml_collections.ConfigDict, resolution: int) -> Callable[[Image], Image]:
    name = _choice(data_config, "eval_crop", _EVAL_CROPS)
    fraction = data_config.eval_fraction
    if not 0 < fraction <= 1:
        raise ConfigError(f"config.data.eval_fraction is {fraction}: it must be in (0, 1].")
    crop = crops.center_crop if name == "center" else crops.central_fraction_crop
    return functools.partial(
        crop,
        resolution=resolution,
        fraction=fraction,
        interpolation=data_config.interpolation,
    )


def _check_sizes(
    resolution: int, batch_size: int, process_index: int, process_count: int, batch_key: str
) -> None:
    if resolution < 1:
        raise ConfigError(f"config.model.resolution is {resolution}: it must be at least 1 pixel.")
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
    low, high = data_config[key]
    if not 0 < low <= high:
        raise ConfigError(
            f"config.data.{key} is ({low}, {high}): both must be positive, the smaller one first."
        )
    return float(low), float(high)
