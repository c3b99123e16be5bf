"""Seconds from the start of `train.py` to its first finished step, with and without the cache."""

import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from benchmarks.workload import StepWorkload
from mobilenet import config as base
from mobilenet.data import digits
from mobilenet.data.datasets import open_split
from mobilenet.errors import UserError
from mobilenet.runs.metrics_file import read_metrics

_POLL_SECONDS = 0.01


def time_starts(
    program: pathlib.Path, workload: StepWorkload, rounds: int
) -> Iterator[tuple[float, float]]:
    """Yields the seconds of a start with an empty compilation cache and of one with a full cache.

    The recipe is that of `mobilenet/config.py`, on the quickstart's digits enlarged to the
    resolution: what the images show changes nothing here.

    Args:
      program: `train.py`.
      workload: the network, the batch size and the compute type.
      rounds: how many pairs.

    Raises:
      UserError: `train.py` ended before its first step; the message ends with its own.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        # Made now, so that no start has to.
        config = base.get_config().data
        config.update(name=digits.NAME, data_dir=os.fspath(folder))
        open_split(config, "train")
        command = _command(program, workload, folder)
        for number in range(rounds):
            cache = folder / f"cache_{number}"
            yield (
                _time_start(command, folder / f"cold_{number}", cache),
                _time_start(command, folder / f"warm_{number}", cache),
            )


def _command(program: pathlib.Path, workload: StepWorkload, data_dir: pathlib.Path) -> list[str]:
    settings = {
        "model.name": workload.model,
        "model.width": workload.width,
        "model.resolution": workload.resolution,
        "batch_size": workload.batch_size,
        "compute_dtype": workload.compute_dtype,
        "data.name": digits.NAME,
        "data.data_dir": data_dir,
        "data.eval_split": "test",
        "data.num_threads": workload.threads,
        "total_steps": 1,
    }
    return [
        sys.executable,
        os.fspath(program),
        f"--config={program.parent / 'mobilenet' / 'config.py'}",
        *(f"--config.{key}={value}" for key, value in settings.items()),
    ]


def _time_start(command: list[str], workdir: pathlib.Path, cache: pathlib.Path) -> float:
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": os.fspath(cache)}
    log = workdir.with_suffix(".log")
    with log.open("wb") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            [*command, f"--workdir={workdir}"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            # The first step is recorded as soon as its loss is known.
            while not read_metrics(workdir):
                if process.poll() is not None:
                    lines = log.read_text(encoding="utf-8").strip().splitlines() or ["no message"]
                    raise UserError(f"{command[1]} ended before its first step: {lines[-1]}")
                time.sleep(_POLL_SECONDS)
            return time.perf_counter() - start
        finally:
            process.kill()
            process.wait()
