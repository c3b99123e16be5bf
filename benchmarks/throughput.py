"""Whether the input or the training step limits the speed of a config on this machine."""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import ml_collections

from mobilenet.data.datasets import open_split
from mobilenet.data.of_config import train_batches
from mobilenet.errors import UserError
from mobilenet.runtime.mesh import to_devices
from mobilenet.training.experiment import Experiment, build_experiment
from mobilenet.training.initial_weights import load_initial_weights, settle_config

# Closer than this, two measurements of one machine are not told apart.
_SAME = 0.1


@dataclasses.dataclass(frozen=True)
class Throughput:
    """Images per second of the input alone, of the step alone, and of both as in training."""

    input: float
    step: float
    together: float

    @property
    def limit(self) -> str:
        """`input`, `step`, or `both` where neither is a tenth faster than the other."""
        slower, faster = sorted((self.input, self.step))
        if faster < slower * (1 + _SAME):
            return "both"
        return "input" if self.input < self.step else "step"

    def __str__(self) -> str:
        lines = [
            f"input alone  {self.input:12,.1f} images/s",
            f"step alone   {self.step:12,.1f} images/s",
            f"together     {self.together:12,.1f} images/s",
        ]
        ratio = max(self.input, self.step) / min(self.input, self.step)
        lines.append(
            {
                "input": f"The input limits: the step could take {ratio:.3g} times as many images.",
                "step": f"The step limits: the input could give {ratio:.3g} times as many images.",
                "both": "Input and step are about as fast as each other.",
            }[self.limit]
        )
        share = self.together / min(self.input, self.step)
        if share < 1 - _SAME:
            lines.append(
                f"Together they reach {share:.0%} of the slower one: they share processors or "
                "memory, or wait for each other."
            )
        return "\n".join(lines)


def measure_throughput(config: ml_collections.ConfigDict, *, seconds: float) -> Throughput:
    """Measures a config, after warm-up, in this order: input, step, both.

    The step alone runs on one fixed batch that is on the devices already. Together they run as in
    training: a batch goes to the devices while the step before runs. Nothing is saved.

    Args:
      config: complete, as those of `configs/`.
      seconds: the least duration of each measurement; at least three batches are measured.

    Raises:
      UserError: the config cannot work, or several processes train together.
    """
    if jax.process_count() > 1:
        raise UserError("Input and step are measured in one process: start it on one host alone.")
    config = settle_config(config)
    split = open_split(config.data, config.data.train_split)
    experiment = build_experiment(config, split)
    mesh = experiment.network.mesh
    # What was prefetched during the warm-up came for free. The threads hold one batch each.
    ahead = config.data.prefetch_batches + config.data.num_threads * max(config.data.num_workers, 1)
    rate = functools.partial(_images_per_second, config.batch_size, seconds)

    target = experiment.network.task.target
    open_batches = functools.partial(train_batches, config, split, target, start_step=0)

    # The iterators have threads, which `close` ends.
    with contextlib.closing(open_batches()) as batches:
        batch = next(batches)
        input_alone = rate(lambda: next(batches), lambda _: None, ahead)
    step = _Step(experiment, config)
    fixed = to_devices(batch, mesh)
    step_alone = rate(lambda: step(fixed), step.wait_for, 2)
    with contextlib.closing(open_batches()) as batches:
        together = rate(lambda: step(to_devices(next(batches), mesh)), step.wait_for, ahead)
    return Throughput(input_alone, step_alone, together)


class _Step:
    """Takes one training step after the other, and waits as training does: for the one before."""

    def __init__(self, experiment: Experiment, config: ml_collections.ConfigDict):
        self._take = experiment.train_step
        self._state = experiment.make_state(*load_initial_weights(config, experiment.network))
        self._before: jax.Array | None = None

    def __call__(self, batch: dict[str, jax.Array]) -> jax.Array:
        self._state, metrics = self._take(self._state, batch)
        self.wait_for(self._before)
        self._before = metrics["loss"]
        return self._before

    def wait_for(self, loss: jax.Array | None) -> None:
        if loss is not None:
            loss.block_until_ready()


def _images_per_second(
    batch_size: int,
    seconds: float,
    advance: Callable[[], Any],
    finish: Callable[[Any], None],
    warmup: int,
) -> float:
    """Calls `advance` for some time; `finish` waits for what the last call began."""
    for _ in range(max(warmup, 1)):
        last = advance()
    finish(last)
    started, count = time.perf_counter(), 0
    while count < 3 or time.perf_counter() - started < seconds:
        last = advance()
        count += 1
    finish(last)
    return count * batch_size / (time.perf_counter() - started)
