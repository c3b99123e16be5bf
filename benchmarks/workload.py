"""What every contender computes, and with how many threads."""

import dataclasses
import os

import numpy as np

from mobilenet.errors import UserError
from mobilenet.networks.architecture import Architecture, create_architecture


@dataclasses.dataclass(frozen=True)
class StepWorkload:
    """Training steps or forward passes on one batch of random images; dropout is off."""

    model: str  # mobilenet_v1 | mobilenet_v2
    width: float
    resolution: int  # pixels, the side of the square input
    batch_size: int  # images
    compute_dtype: str  # float32 | bfloat16
    threads: int
    seconds: float  # the least duration of one measurement

    def architecture(self) -> Architecture:
        """Raises UserError if a value cannot work."""
        knobs = {"width": self.width, "resolution": self.resolution, "dropout": 0.0}
        return create_architecture(self.model, **knobs)

    def random_batch(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns float32 images[batch, side, side, 3] and int64 labels[batch], always the same."""
        rng = np.random.default_rng(0)
        shape = (self.batch_size, self.resolution, self.resolution, 3)
        images = rng.standard_normal(shape, dtype=np.float32)
        return images, rng.integers(0, self.architecture().num_classes, self.batch_size)


@dataclasses.dataclass(frozen=True)
class InputWorkload:
    """Batches for training from the JPEG files of a prepared dataset, randomly cropped."""

    data: str  # name of the dataset
    data_dir: str | None  # None: TFDS's default
    split: str
    resolution: int  # pixels, the side of a cropped image
    batch_size: int  # images
    threads: int
    seconds: float  # the least duration of one measurement
    scratch: str  # a folder for whatever a contender has to write first


def use_threads(threads: int | None) -> int:
    """Binds this process, and all that it starts later, to so many processors.

    Returns their number; None leaves the processors that the process has.

    Raises:
      UserError: there are fewer, or the system cannot bind a process.
    """
    if not hasattr(os, "sched_setaffinity"):
        if threads is None:
            return os.cpu_count() or 1
        raise UserError("--threads: this system cannot bind a process to processors: leave it out.")
    available = sorted(os.sched_getaffinity(0))
    if threads is None:
        return len(available)
    if threads > len(available):
        raise UserError(f"--threads={threads}: this process has {len(available)} processors.")
    os.sched_setaffinity(0, available[:threads])
    return threads
