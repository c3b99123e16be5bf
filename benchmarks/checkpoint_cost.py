"""What checkpoints cost a run, and what a run loses that is killed at the worst moment."""

import contextlib
import dataclasses
import math
import pathlib
import statistics
import tempfile
import time
from typing import Any

import jax
import ml_collections

from mobilenet.data.datasets import open_split
from mobilenet.data.of_config import train_batches
from mobilenet.runs.checkpoint import Checkpoints
from mobilenet.runs.state import TrainState
from mobilenet.runtime.mesh import to_devices
from mobilenet.training.experiment import Experiment, build_experiment
from mobilenet.training.initial_weights import load_initial_weights, settle_config


@dataclasses.dataclass(frozen=True)
class CheckpointCost:
    """Medians of the rounds, in seconds.

    Attributes:
      step: one training step, on a batch that is on the devices already.
      save: how long a save holds up the step after it.
      extra: how much longer steps take together with a save than without, `save` included.
      on_disk: from the start of a save until it counts.
      every_steps: between checkpoints, as the config says.
      size: bytes of the state.
    """

    step: float
    save: float
    extra: float
    on_disk: float
    every_steps: int
    size: int

    def __str__(self) -> str:
        between = self.every_steps * self.step
        shares = [seconds / (between + self.extra) for seconds in (self.save, self.extra)]
        return "\n".join(
            [
                f"state               {self.size / 1e6:9.1f} MB",
                f"step                {self.step:9.3f} s",
                f"save holds up       {self.save:9.3f} s",
                f"save slows down by  {self.extra:9.3f} s in all",
                f"save on disk after  {self.on_disk:9.3f} s",
                f"A checkpoint every {self.every_steps:,} steps, {between:.1f} s: {shares[0]:.2%} "
                f"of the time holding up, {shares[1]:.2%} in all.",
                f"A kill at the worst moment loses {between + self.on_disk:.1f} s.",
            ]
        )


def measure_checkpoints(config: ml_collections.ConfigDict, *, rounds: int) -> CheckpointCost:
    """Measures steps without a save and with one, in turn.

    Args:
      config: complete, as those of `configs/`; checkpoints are written to the temporary folder.
      rounds: of each kind.

    Raises:
      UserError: the config or the machine is at fault.
    """
    config = settle_config(config)
    split = open_split(config.data, config.data.train_split)
    experiment = build_experiment(config, split)
    batches = train_batches(config, split, experiment.network.task.target, start_step=0)
    batch = to_devices(next(batches), experiment.network.mesh)
    with (
        contextlib.closing(batches),
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(Checkpoints(pathlib.Path(folder), keep=1, scores={})) as checkpoints,
    ):
        state = experiment.make_state(*load_initial_weights(config, experiment.network))
        runner = _Runner(experiment, state, batch, checkpoints)
        runner.take(2)  # compiles
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(runner.state))
        step = min(runner.take(1) for _ in range(3))
        on_disk = [runner.save()[1]]
        # As many as a save has beside it, and the steps of a round take as long as it at least.
        steps = math.ceil(2 * on_disk[0] / step)
        without, saves, extra = [], [], []
        for _ in range(rounds):
            without.append(runner.take(steps))
            started = time.perf_counter()
            held, _ = runner.save(wait=False)
            runner.take(steps)
            together = time.perf_counter() - started
            checkpoints.wait()
            saves.append(held)
            extra.append(together - without[-1])
            on_disk.append(runner.save()[1])
    return CheckpointCost(
        step=statistics.median(without) / steps,
        save=statistics.median(saves),
        extra=statistics.median(extra),
        on_disk=statistics.median(on_disk),
        every_steps=experiment.checkpoint_steps,
        size=size,
    )


class _Runner:
    """Takes steps and saves, and measures both in seconds."""

    def __init__(
        self, experiment: Experiment, state: TrainState, batch: Any, checkpoints: Checkpoints
    ):
        self.state = state
        self._experiment = experiment
        self._batch = batch
        self._checkpoints = checkpoints
        self._saved = 0

    def take(self, steps: int) -> float:
        started = time.perf_counter()
        for _ in range(steps):
            self.state, metrics = self._experiment.train_step(self.state, self._batch)
        metrics["loss"].block_until_ready()
        return time.perf_counter() - started

    def save(self, *, wait: bool = True) -> tuple[float, float]:
        """Returns the time until the next step may run, and until the save is on disk."""
        started = time.perf_counter()
        self._saved += 1
        self._checkpoints.save(self._saved, self.state)
        held = time.perf_counter() - started
        if wait:
            self._checkpoints.wait()
        return held, time.perf_counter() - started
