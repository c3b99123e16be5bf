"""What a run came to: all that it measured, and its last state."""

import contextlib
import pathlib
from typing import Any

from mobilenet.data.datasets import open_split
from mobilenet.errors import UserError
from mobilenet.runs.checkpoint import Checkpoints
from mobilenet.runs.metrics_file import read_metrics
from mobilenet.runs.run_directory import read_config
from mobilenet.runs.state import TrainState
from mobilenet.runtime.mesh import replicated
from mobilenet.training.experiment import Experiment, build_experiment


def read_curve(workdir: pathlib.Path) -> list[dict[str, Any]]:
    """What every step and evaluation of a run measured, without times."""
    return [
        {key: value for key, value in record.items() if "second" not in key}
        for record in read_metrics(workdir)
    ]


def final_state(workdir: pathlib.Path, experiment: Experiment | None = None) -> TrainState:
    """The state in the last checkpoint of a run; its experiment is built if it is not given."""
    if experiment is None:
        config = read_config(workdir)
        experiment = build_experiment(config, open_split(config.data, config.data.train_split))
    whole = replicated(experiment.network.mesh)
    with contextlib.closing(Checkpoints(workdir, keep=1, scores={}, read_only=True)) as checkpoints:
        step = checkpoints.last()
        if step is None:
            raise UserError(f"The run {workdir} ended without a checkpoint: see its config.")
        return checkpoints.restore(step, experiment.abstract_state, whole)
