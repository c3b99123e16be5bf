"""The network of a run directory with the weights of a checkpoint, or a published one."""

import contextlib
import os
import pathlib

from flax import nnx

from mobilenet.errors import UserError
from mobilenet.evaluation.of_run import find_step
from mobilenet.networks.models import MobileNet
from mobilenet.networks.preprocessing import Preprocessing
from mobilenet.runs.checkpoint import Checkpoints
from mobilenet.runs.metrics_file import read_scores
from mobilenet.runs.run_directory import read_current_config
from mobilenet.runtime.mesh import replicated
from mobilenet.training.experiment import build_network
from mobilenet.weights.pretrained import Pretrained, load_pretrained
from mobilenet.weights.registry import SOURCES


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
      checkpoint, ema: of runs alone, as in `load_run`; None is its default.
      model, num_classes, resolution: of weights alone, as in `load_pretrained`.

    Raises:
      UserError: a value has no meaning here, the network's name is missing, or as those.
    """
    is_run = (pathlib.Path(where) / "config.json").is_file()
    of_run = {"checkpoint": checkpoint, "ema": ema}
    of_weights = {"model": model, "num_classes": num_classes, "resolution": resolution}
    for flag, value in (of_weights if is_run else of_run).items():
        if value is not None:
            kind = "a run directory" if is_run else "weights"
            raise UserError(f"--{flag} has no meaning with {kind}: leave it out.")
    if is_run:
        return load_run(where, checkpoint=checkpoint or "last", ema=ema)
    if pathlib.Path(where).is_dir() and where not in SOURCES:
        raise UserError(f"{where} has no config.json, so it is no run directory: check the path.")
    if model is None:
        raise UserError(f"--model is missing: name the network of the weights {where}.")
    if resolution is None:
        return load_pretrained(model, where, num_classes)
    return load_pretrained(model, where, num_classes, resolution=resolution)


def load_run(
    workdir: str | os.PathLike[str], *, checkpoint: str = "last", ema: bool | None = None
) -> Pretrained:
    """Returns the network of a run; its data are not needed.

    Args:
      workdir: the run directory.
      checkpoint: `last`, `best` (by top-1 in training) or the number of a step.
      ema: whether to take the moving average; None takes it if the run has one.

    Raises:
      UserError: no such run, checkpoint or moving average, or the run is of an older version of
        this code.
    """
    directory = pathlib.Path(workdir)
    config = read_current_config(directory)
    has_ema = config.ema_decay is not None
    if ema and not has_ema:
        raise UserError(f"The run {directory} has no moving average: leave out --ema.")
    checkpoints = Checkpoints(
        directory, keep=config.checkpoint.keep, scores=read_scores(directory), read_only=True
    )
    with contextlib.closing(checkpoints):
        step = find_step(checkpoints, checkpoint, directory)
        (num_classes,) = checkpoints.shapes(step)["params/logits/bias"]
        network = build_network(config, num_classes)
        weights = checkpoints.restore_weights(
            step, network.abstract_weights(with_ema=has_ema), replicated(network.mesh)
        )
    use_ema = has_ema if ema is None else ema
    params, batch_stats = weights["ema"] if use_ema else (weights["params"], weights["batch_stats"])
    preprocessing = Preprocessing(
        mean=config.augment.mean,
        stddev=config.augment.stddev,
        resolution=network.architecture.resolution,
        eval_crop=config.data.eval_crop,
        eval_fraction=config.data.eval_fraction,
        interpolation=config.data.interpolation,
    )
    model = MobileNet(network.architecture, preprocessing=preprocessing)
    nnx.update(model, params)
    nnx.update(model, batch_stats)
    return Pretrained(
        model=model,
        origin=f"{directory}, step {step:,}, {'ema' if use_ema else 'raw'} weights",
        knobs={k: v for k, v in config.model.items() if k != "name" and v is not None},
        preprocessing=preprocessing,
        has_own_classifier=True,
    )
