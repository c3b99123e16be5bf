"""Accuracy over a whole split, every image counted once."""

import time
from collections.abc import Callable, Iterable

import jax
import numpy as np
from jax.sharding import Mesh

from mobilenet.functional import Tree
from mobilenet.training.mesh import to_devices
from mobilenet.training.step import EvalStep


class Interrupted(Exception):
    """A signal asked for the end."""


def evaluate(
    eval_step: EvalStep,
    params: Tree,
    batch_stats: Tree,
    batches: Iterable[dict[str, np.ndarray]],
    *,
    num_examples: int,
    on_corrupt: str,
    mesh: Mesh,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, float]:
    """Returns `top1` and `top5` (shares of 1), `loss` (nats), `num_images`, `images_per_second`.

    Where corrupt images are skipped, `skipped_images` says how many were. The speed counts
    everything, compilation with the first batch too.

    Args:
      eval_step: compiled; sums of one batch.
      batches: host-local batches of the whole split, padding masked.
      num_examples: of the split; the masks must count as many images.
      on_corrupt: `config.data.on_corrupt`; `skip` allows fewer.
      stop: asked between batches; true ends the evaluation.

    Raises:
      Interrupted: `stop` was true.
      RuntimeError: another number of images was counted.
    """
    started = time.perf_counter()
    # Python's floats have 64 bits: a float32 sum would lose whole images on a large split.
    totals = dict.fromkeys(("loss", "top1", "top5", "images"), 0.0)

    def add(sums: dict[str, jax.Array]) -> None:
        for name, value in jax.device_get(sums).items():
            totals[name] += float(value)

    running: dict[str, jax.Array] | None = None
    for batch in batches:
        if stop():
            raise Interrupted
        sums = eval_step(params, batch_stats, to_devices(batch, mesh))
        # Waiting for the batch before this one keeps at most two of them on the devices.
        if running:
            add(running)
        running = sums
    if running:
        add(running)
    num_images = int(totals["images"])
    skipped = num_examples - num_images
    if num_images == 0 or (skipped and on_corrupt != "skip"):
        raise RuntimeError(
            f"The evaluation counted {num_images} images of a split of {num_examples}."
        )
    return {
        "top1": totals["top1"] / num_images,
        "top5": totals["top5"] / num_images,
        "loss": totals["loss"] / num_images,
        "num_images": num_images,
        **({"skipped_images": skipped} if on_corrupt == "skip" else {}),
        "images_per_second": num_images / (time.perf_counter() - started),
    }
