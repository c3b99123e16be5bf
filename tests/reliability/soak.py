"""Kills a run at random moments and starts it again, which must not change a bit of its end.

Every life of a run is a process of its own that SIGKILL ends, as the system ends one that has no
memory left. The processes are forks of one that has done the imports, which take seconds.
"""

import dataclasses
import multiprocessing
import os
import pathlib
import random
import shutil
import signal
import time
from collections.abc import Callable
from typing import Any

import jax
import ml_collections
import numpy as np

from mobilenet.data.datasets import open_split
from mobilenet.errors import UserError
from mobilenet.runs.metrics_file import read_metrics
from mobilenet.runs.run_directory import read_config
from mobilenet.runtime.compilation_cache import enable_compilation_cache
from mobilenet.training.experiment import Experiment, build_experiment
from mobilenet.training.loop import train
from tests.helpers.run_ends import final_state, read_curve

_POLL_SECONDS = 0.002
# A process that does nothing for so long has not just a busy machine.
_START_SECONDS = 600.0


@dataclasses.dataclass(frozen=True)
class Kill:
    """One kill, and what came of the run that was killed.

    Attributes:
      moment: seconds after the run reported its first step.
      step: the last one in metrics.jsonl, 0 if there is none.
      checkpoint: the last complete one, 0 if there is none.
      in_save: whether a checkpoint was being written.
      differences: between the end of the resumed run and that of the undisturbed one.
    """

    moment: float
    step: int
    checkpoint: int
    in_save: bool
    differences: tuple[str, ...]

    def __str__(self) -> str:
        doing = "in a save" if self.in_save else "in a step"
        return (
            f"killed after {self.moment:6.2f} s, {doing}, step {self.step:3}, checkpoint "
            f"{self.checkpoint:3}: {'; '.join(self.differences) or 'equal to the bit'}"
        )


@dataclasses.dataclass(frozen=True)
class Soak:
    """All kills, and the seconds from an undisturbed run's first step to its end."""

    seconds: float
    kills: tuple[Kill, ...]

    @property
    def is_sound(self) -> bool:
        return not any(kill.differences for kill in self.kills)

    def __str__(self) -> str:
        equal = sum(not kill.differences for kill in self.kills)
        return (
            f"{equal} of {len(self.kills)} runs ended with the bits of the undisturbed one, which "
            f"took {self.seconds:.1f} s; {sum(kill.in_save for kill in self.kills)} were killed "
            "while a checkpoint was written"
        )


def soak(
    config: ml_collections.ConfigDict,
    workdir: pathlib.Path,
    *,
    kills: int,
    seed: int,
    watch: Callable[[Kill], None],
) -> Soak:
    """Trains once undisturbed, and once for each kill, at a moment drawn from the run's duration.

    Args:
      config: of a short run.
      workdir: gets `undisturbed/`, and `killed_<number>/` of the runs that end differently.
      kills: how many.
      seed: of the moments.
      watch: is called after each kill.

    Raises:
      UserError: the undisturbed run does not come to its end, or the folder is not new.
    """
    if workdir.exists() and any(workdir.iterdir()):
        raise UserError(f"{workdir} is not empty: choose a new --workdir.")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])

    def live(directory: pathlib.Path, seconds: float | None) -> tuple[float, int | None]:
        process = context.Process(target=_train, args=(config, directory))
        return _end(process, directory, seconds)

    undisturbed = workdir / "undisturbed"
    # The first run compiles, the second measures how long one takes that does not.
    for _ in range(2):
        shutil.rmtree(undisturbed, ignore_errors=True)
        duration, status = live(undisturbed, None)
        if status != 0:
            raise UserError(f"The undisturbed run ended with status {status}: see {undisturbed}.")
    settled = read_config(undisturbed)
    experiment = build_experiment(settled, open_split(settled.data, settled.data.train_split))
    expected, rng = _read_end(undisturbed, experiment), random.Random(seed)
    done: list[Kill] = []
    latest = duration
    while len(done) < kills:
        directory = workdir / f"killed_{len(done)}"
        moment = rng.uniform(0, latest)
        _, status = live(directory, moment)
        if status == 0:
            # It was faster than the undisturbed one: nothing was killed, so once more, and earlier.
            latest = moment
            shutil.rmtree(directory)
            continue
        kill = _describe_kill(directory, moment)
        _, status = live(directory, None)
        differences = [f"the resumed run ended with status {status}"]
        if status == 0:
            differences = _compare(expected, _read_end(directory, experiment))
        done.append(dataclasses.replace(kill, differences=tuple(differences)))
        watch(done[-1])
        if not differences:
            shutil.rmtree(directory)
    return Soak(duration, tuple(done))


def _train(config: ml_collections.ConfigDict, directory: pathlib.Path) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the progress of every run
    enable_compilation_cache()
    train(config, directory)


def _end(process: Any, directory: pathlib.Path, seconds: float | None) -> tuple[float, int | None]:
    """Runs a process to its end, or kills it some time after it reported its first step.

    What comes before, the imports and the compilation, takes longer and has nothing to lose.

    Returns:
      The seconds that it lived from then on, and its exit status, negative if it was killed.
    """
    process.start()
    deadline = time.monotonic() + _START_SECONDS
    while not read_metrics(directory) and process.is_alive():
        if time.monotonic() > deadline:
            raise UserError(f"The run did not start within {_START_SECONDS:g} s: see its config.")
        time.sleep(_POLL_SECONDS)
    started = time.monotonic()
    process.join(seconds)
    if process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    return time.monotonic() - started, process.exitcode


def _describe_kill(directory: pathlib.Path, moment: float) -> Kill:
    names = [path.name for path in directory.glob("checkpoints/*")]
    return Kill(
        moment=moment,
        step=max((record["step"] for record in read_metrics(directory)), default=0),
        checkpoint=max((int(name) for name in names if name.isdecimal()), default=0),
        in_save=any(not name.isdecimal() for name in names),
        differences=(),
    )


def _read_end(directory: pathlib.Path, experiment: Experiment) -> dict[str, Any]:
    """Returns what a finished run came to, by name: every array, and its metrics without times.

    Which older checkpoints are left is no part of it: a kill between the last save and the removal
    of what it makes superfluous leaves one more.
    """
    leaves = jax.tree_util.tree_leaves_with_path(final_state(directory, experiment))
    arrays = {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}
    return {"metrics.jsonl": read_curve(directory), **arrays}


def _compare(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Returns the names of what differs; arrays are equal if their bytes are."""
    return [
        f"{name} differs"
        for name, value in expected.items()
        if (
            value.tobytes() != found[name].tobytes()
            if isinstance(value, np.ndarray)
            else value != found[name]
        )
    ]
