"""Evaluates a checkpoint of a run directory on a full split."""

import contextlib
import json
import math
import os
import pathlib
from typing import Any

from mobilenet.data.datasets import open_split
from mobilenet.data.pipeline import eval_batches
from mobilenet.errors import UserError, os_errors_explained
from mobilenet.evaluation import evaluate
from mobilenet.training.checkpoint import Checkpoints
from mobilenet.training.experiment import build_network
from mobilenet.training.mesh import check_eval_batch_size, replicated
from mobilenet.training.metrics_file import read_scores
from mobilenet.training.run_directory import read_config


def evaluate_run(
    workdir: str | os.PathLike[str],
    *,
    split: str | None = None,
    checkpoint: str = "last",
    ema: bool | None = None,
    batch_size: int | None = None,
    data_dir: str | None = None,
) -> dict[str, Any]:
    """Evaluates, and appends the result to `evaluations.jsonl` of the run.

    Args:
      workdir: the run directory.
      split: None is the run's evaluation split.
      checkpoint: `last`, `best` (by top-1 in training) or the number of a step.
      ema: whether to take the moving average; None takes it if the run has one.
      batch_size: None is the run's own.
      data_dir: None is the run's own.

    Returns:
      `top1`, `top5`, `loss`, `num_images`, `images_per_second`, `split`, `step`, and `weights`
      (`ema` or `raw`).

    Raises:
      UserError: no such run, checkpoint, split or moving average.
    """
    directory = pathlib.Path(workdir)
    config = read_config(directory).unlock()
    if data_dir is not None:
        config.data.data_dir = data_dir
    if batch_size is not None:
        config.evaluation.batch_size = batch_size
    has_ema = config.ema_decay is not None
    if ema and not has_ema:
        raise UserError(f"The run {directory} has no moving average: leave out --ema.")

    eval_split = open_split(config.data, split or config.data.eval_split)
    network = build_network(config, eval_split.num_classes)
    check_eval_batch_size(network.mesh, config.evaluation.batch_size)
    checkpoints = Checkpoints(
        directory, keep=config.checkpoint.keep, scores=read_scores(directory), read_only=True
    )
    with contextlib.closing(checkpoints):
        step = _find_step(checkpoints, checkpoint, directory)
        weights = checkpoints.restore_weights(
            step, network.abstract_weights(with_ema=has_ema), replicated(network.mesh)
        )
    use_ema = has_ema if ema is None else ema
    params, batch_stats = weights["ema"] if use_ema else (weights["params"], weights["batch_stats"])
    metrics = evaluate(
        network.eval_step,
        params,
        batch_stats,
        eval_batches(
            eval_split, config.data, config.model.resolution, config.evaluation.batch_size
        ),
        num_examples=eval_split.num_examples,
        on_corrupt=config.data.on_corrupt,
        mesh=network.mesh,
    )
    result = {
        **metrics,
        "split": eval_split.split,
        "step": step,
        "weights": "ema" if use_ema else "raw",
    }
    with (
        os_errors_explained(f"write {directory / 'evaluations.jsonl'}"),
        (directory / "evaluations.jsonl").open("a", encoding="utf-8") as file,
    ):
        # The loss of a network that diverged may be no number, which JSON does not have.
        loss = metrics["loss"] if math.isfinite(metrics["loss"]) else None
        file.write(json.dumps({**result, "loss": loss}) + "\n")
    return result


def _find_step(checkpoints: Checkpoints, checkpoint: str, directory: pathlib.Path) -> int:
    if checkpoint.isdecimal():
        return int(checkpoint)
    if checkpoint not in ("last", "best"):
        raise UserError(
            f"--checkpoint={checkpoint} must be last, best or the number of a step; there are "
            f"{', '.join(map(str, checkpoints.steps())) or 'none'}."
        )
    step = checkpoints.last() if checkpoint == "last" else checkpoints.best()
    if step is None:
        raise UserError(
            f"The run {directory} has no {checkpoint} checkpoint"
            f"{' that was evaluated' if checkpoint == 'best' else ''}: train it first."
        )
    return step
