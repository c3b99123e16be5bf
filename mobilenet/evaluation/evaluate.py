"""Accuracy over a whole split, every image counted once."""

import time
from collections.abc import Callable, Iterable

import jax
import numpy as np
from jax.sharding import Mesh

from mobilenet.networks.functional import Tree
from mobilenet.runtime.mesh import to_devices
from mobilenet.tasks.classification.per_class import Confusions
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
    confusions: Confusions | None = None,
) -> dict[str, float]:
    """Returns `top1` and `top5` (shares of 1), `loss` (nats), `num_images`, `images_per_second`.

    Where corrupt images are skipped, `skipped_images` says how many were; where labels are sets,
    `unlabelled_images` how many have an empty one and are left out, as all else counts
    `num_images`. The speed counts everything, compilation with the first batch too.

    Args:
      eval_step: compiled; sums of one batch.
      batches: host-local batches of the whole split, padding masked.
      num_examples: of the split; the masks must count as many images.
      on_corrupt: `config.data.on_corrupt`; `skip` allows fewer.
      stop: asked between batches; true ends the evaluation.
      confusions: counts every prediction, if `eval_step` gives them; in one process only.

    Raises:
      Interrupted: `stop` was true.
      RuntimeError: another number of images was counted.
    """
    started = time.perf_counter()
    # Python's floats have 64 bits: a float32 sum would lose whole images on a large split.
    totals = dict.fromkeys(("loss", "top1", "top5", "images"), 0.0)

    def add(batch: dict[str, np.ndarray], sums: dict[str, jax.Array]) -> None:
        values = jax.device_get(sums)
        predictions = values.pop("predictions", None)
        if confusions is not None:
            confusions.add(batch["labels"], predictions, batch["mask"])
        for name, value in values.items():
            totals[name] = totals.get(name, 0.0) + float(value)

    running: tuple[dict[str, np.ndarray], dict[str, jax.Array]] | None = None
    for batch in batches:
        if stop():
            raise Interrupted
        sums = eval_step(params, batch_stats, to_devices(batch, mesh))
        # Waiting for the batch before this one keeps at most two of them on the devices.
        if running:
            add(*running)
        running = batch, sums
    if running:
        add(*running)
    num_images = int(totals["images"])
    unlabelled = int(totals.get("unlabelled", 0))
    skipped = num_examples - num_images - unlabelled
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
        **({"unlabelled_images": unlabelled} if "unlabelled" in totals else {}),
        "images_per_second": num_images / (time.perf_counter() - started),
    }
