"""The score of a network over a whole split, every image counted once."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import jax

from mobilenet.data.datasets import Split
from mobilenet.networks.functional import Tree
from mobilenet.runtime.mesh import to_devices
from mobilenet.tasks.network import Network
from mobilenet.tasks.task import HostBatch


class Interrupted(Exception):
    """A signal asked for the end."""


def evaluate(
    network: Network,
    params: Tree,
    batch_stats: Tree,
    batches: Iterable[HostBatch],
    split: Split,
    *,
    on_corrupt: str,
    stop: Callable[[], bool] = lambda: False,
    per_class: bool = False,
) -> dict[str, Any]:
    """Returns what the task makes of a split, `num_images`, and `images_per_second`.

    Where corrupt images are skipped, `skipped_images` says how many were. The speed counts
    everything, compilation with the first batch too.

    Args:
      network: on its mesh.
      params, batch_stats: of the network.
      batches: host-local batches of the whole split, padding masked.
      split: the masks must count as many images.
      on_corrupt: `config.data.on_corrupt`; `skip` allows fewer.
      stop: asked between batches; true ends the evaluation.
      per_class: as `Task.summarize` takes it.

    Raises:
      Interrupted: `stop` was true.
      RuntimeError: another number of images was counted.
      UserError: the task cannot tell the classes apart.
    """
    started, summarize = time.perf_counter(), network.task.summarize
    scores: list[HostBatch] = []

    def add(score: dict[str, jax.Array]) -> None:
        scores.append(jax.device_get(score))
        if per_class and len(scores) == 1:
            summarize(scores, split, True)  # What cannot be told is said at once.

    running: dict[str, jax.Array] | None = None
    for batch in batches:
        if stop():
            raise Interrupted
        score = network.eval_step(params, batch_stats, to_devices(batch, network.mesh))
        # Waiting for the batch before this one keeps at most two of them on the devices.
        if running:
            add(running)
        running = score
    if running:
        add(running)
    num_images = sum(int(score["read"]) for score in scores)
    skipped = split.num_examples - num_images
    if num_images == 0 or (skipped and on_corrupt != "skip"):
        raise RuntimeError(
            f"The evaluation counted {num_images} images of a split of {split.num_examples}."
        )
    return {
        "num_images": num_images,
        **summarize(scores, split, per_class),
        **({"skipped_images": skipped} if on_corrupt == "skip" else {}),
        "images_per_second": num_images / (time.perf_counter() - started),
    }
