"""The weights of a run directory, opened; and the network with them, or a published one."""

import contextlib
import dataclasses
import os
import pathlib
from typing import Any

from flax import nnx
from ml_collections.config_dict import ConfigDict

from mobilenet.errors import UserError
from mobilenet.networks.functional import Tree
from mobilenet.networks.models import MobileNet
from mobilenet.runs.checkpoint import Checkpoints
from mobilenet.runs.metrics_file import read_scores
from mobilenet.runs.run_directory import read_class_names, read_current_config
from mobilenet.runtime.agreement import from_first, is_first
from mobilenet.runtime.mesh import replicated
from mobilenet.tasks.network import Network, build_network
from mobilenet.weights.pretrained import Pretrained, load_pretrained
from mobilenet.weights.registry import SOURCES


@dataclasses.dataclass(frozen=True)
class RunWeights:
    """The weights of a checkpoint, on the devices of their network."""

    directory: pathlib.Path
    config: ConfigDict  # locked
    class_names: tuple[str, ...]
    network: Network
    params: Tree
    batch_stats: Tree
    step: int
    are_ema: bool  # whether they are the moving average

    @property
    def kind(self) -> str:
        return "ema" if self.are_ema else "raw"


def open_weights(
    workdir: str | os.PathLike[str], *, checkpoint: str = "last", ema: bool | None = None
) -> RunWeights:
    """Returns the weights of a run; its data are not needed.

    Damaged checkpoints are passed over. Several processes open the same one.

    Args:
      workdir: the run directory.
      checkpoint: `last`, `best` (by the task's score in training) or the number of a step.
      ema: whether to take the moving average; None takes it if the run has one.

    Raises:
      UserError: no such run, checkpoint or moving average, or the run is of an older version of
        this code.
    """
    directory = pathlib.Path(workdir)
    config = read_current_config(directory)
    class_names = read_class_names(directory)
    has_ema = config.ema_decay is not None
    if ema and not has_ema:
        raise UserError(f"The run {directory} has no moving average: leave out --ema.")
    network = build_network(config, len(class_names))
    scores = read_scores(directory, network.task.best)
    checkpoints = Checkpoints(directory, keep=config.checkpoint.keep, scores=scores, read_only=True)
    with contextlib.closing(checkpoints):
        # A run that goes on meanwhile may save another checkpoint before all have looked.
        step = _find_step(checkpoints, checkpoint, directory) if is_first() else None
        step = from_first(step)
        weights = checkpoints.restore_weights(
            step, network.abstract_weights(with_ema=has_ema), replicated(network.mesh)
        )
    are_ema = has_ema if ema is None else ema
    params, batch_stats = weights["ema"] if are_ema else (weights["params"], weights["batch_stats"])
    return RunWeights(directory, config, class_names, network, params, batch_stats, step, are_ema)


def load_run_or_weights(
    where: str,
    *,
    checkpoint: str | None = None,
    ema: bool | None = None,
    model: str | None = None,
    num_classes: int | None = None,
    resolution: int | None = None,
) -> Pretrained:
    """Returns the network of a run directory, or one with the weights of a source.

    Args:
      where: the run directory, or weights as in `load_pretrained`.
      checkpoint, ema: of runs alone, as in `open_weights`; None is its default.
      model, num_classes, resolution: of weights alone, as in `load_pretrained`.

    Raises:
      UserError: a value has no meaning here, the network's name is missing, or as those.
    """
    is_run = (pathlib.Path(where) / "config.json").is_file()
    of_run = {"checkpoint": checkpoint, "ema": ema}
    knobs: dict[str, Any] = {} if resolution is None else {"resolution": resolution}
    of_weights = {"model": model, "num_classes": num_classes, **knobs}
    for flag, value in (of_weights if is_run else of_run).items():
        if value is not None:
            kind = "a run directory" if is_run else "weights"
            raise UserError(f"--{flag} has no meaning with {kind}: leave it out.")
    if is_run:
        return _with_weights(open_weights(where, checkpoint=checkpoint or "last", ema=ema))
    if pathlib.Path(where).is_dir() and where not in SOURCES:
        raise UserError(f"{where} has no config.json, so it is no run directory: check the path.")
    if model is None:
        raise UserError(f"--model is missing: name the network of the weights {where}.")
    return load_pretrained(model, where, num_classes, **knobs)


def _with_weights(run: RunWeights) -> Pretrained:
    module = run.network.module
    model = MobileNet(module.architecture, preprocessing=module.preprocessing)
    nnx.update(model, run.params)
    nnx.update(model, run.batch_stats)
    return Pretrained(
        model=model,
        origin=f"{run.directory}, step {run.step:,}, {run.kind} weights",
        has_own_classifier=True,
    )


def _find_step(checkpoints: Checkpoints, checkpoint: str, directory: pathlib.Path) -> int:
    """Returns the step of the checkpoint that is `last`, `best` or a number.

    Raises:
      UserError: there is no such checkpoint.
    """
    if checkpoint.isdecimal():
        return int(checkpoint)
    if checkpoint not in ("last", "best"):
        raise UserError(
            f"--checkpoint={checkpoint} must be last, best or the number of a step; there are "
            f"{', '.join(map(str, checkpoints.steps())) or 'none'}."
        )
    step = checkpoints.find_whole_weights(checkpoint)
    if step is None:
        raise UserError(
            f"The run {directory} has no {checkpoint} checkpoint"
            f"{' that was evaluated' if checkpoint == 'best' else ''}: train it first."
        )
    return step
