"""What is asked of the network, as data: all that loop, pipeline and evaluation know of it."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
from jaxtyping import Array, Float

from mobilenet.data.crops import Crop
from mobilenet.data.datasets import Split
from mobilenet.data.records import Record
from mobilenet.networks.models import MobileNet

# uint8 images[n h w 3] (float32 once prepared), float32 mask[n], and what `Task.target` adds.
Batch = dict[str, Array]
HostBatch = dict[str, np.ndarray]
Keys = Mapping[str, Array]
Sums = dict[str, Array]

# What of a step is random. Adding at the end leaves what the others decide as it is.
_KEYS = ("flip", "dropout", "color", "erase", "mix")


@dataclasses.dataclass(frozen=True)
class Task:
    """Seven answers, each a plain value or a pure function.

    Attributes:
      best: the name of the score, among those of `summarize`, that says which checkpoint is best:
        the largest, which is also what sweeps, tables and the report show.
      network: (config, number of classes) -> the module, a backbone with the head of this task. It
        has the `architecture` whose costs are counted, and `task_parameters`: the names of those
        that belong to the task and not to the backbone.
      target: on the host, (split, record, crop) -> arrays of fixed shape for the batch. The crop
        says where the image's pixels went; it is None for images without a file. A record of None
        is padding or a corrupt image. Pickled for worker processes. Raises `RecordError`.
      prepare: on the device, in training, (batch, keys) -> the batch with normalised float32
        `images`: flips, colour, mixing. Evaluation gives the network the batch's uint8 images.
      loss: on the device, (outputs of the network, batch) -> sums over the images whose mask is not
        0: `loss`; `weight`, by which the loss, its gradient and the other sums are divided after
        they were added up over all devices and micro-batches, such as the number of images, pixels
        or matched boxes; and others, which become metrics.
      score: on the device, (outputs, batch) -> what one batch adds to an evaluation: sums, or rows
        for each image. The whole global batch is seen, and all processes get the same.
      summarize: on the host, (those of all batches, split, per_class) -> plain numbers for JSON:
        `best`, `loss` and others; shares are of 1. With `per_class` also `per_class`: by name,
        tables as lists of rows, each a mapping of columns.
    """

    best: str
    network: Callable[[ml_collections.ConfigDict, int], MobileNet]
    target: Callable[[Split, Record | None, Crop | None], Mapping[str, Any]]
    prepare: Callable[[Batch, Keys], Batch]
    loss: Callable[[Any, Batch], Sums]
    score: Callable[[Any, Batch], Sums]
    summarize: Callable[[Sequence[HostBatch], Split, bool], dict[str, Any]]


def split_key(key: Array) -> Keys:
    """Returns the keys for all that is random about one batch, the network's dropout included."""
    return dict(zip(_KEYS, jax.random.split(key, len(_KEYS)), strict=True))


def count_images(batch: Batch) -> Float[Array, ""]:
    """Returns how many images of a batch are neither padding nor corrupt."""
    return (batch["mask"] > 0).sum(dtype=batch["mask"].dtype)
