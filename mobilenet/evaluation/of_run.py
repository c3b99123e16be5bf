"""Evaluates a checkpoint of a run directory on a full split."""

import contextlib
import json
import math
import os
import pathlib
import re
from typing import Any

import jax
import ml_collections
from absl import logging

from mobilenet.config import size_of
from mobilenet.data.datasets import (
    Split,
    check_is_complete,
    has_names,
    list_splits,
    open_split,
    read_class_names,
)
from mobilenet.data.pipeline import eval_batches
from mobilenet.errors import UserError, os_errors_explained
from mobilenet.evaluation.evaluate import evaluate
from mobilenet.runs.checkpoint import Checkpoints
from mobilenet.runs.metrics_file import read_scores
from mobilenet.runs.run_directory import read_config, read_current_config
from mobilenet.runtime.agreement import from_first, is_first
from mobilenet.runtime.mesh import check_eval_batch_size, replicated
from mobilenet.tasks.classification.per_class import Confusions
from mobilenet.training.experiment import build_network


def evaluate_run(
    workdir: str | os.PathLike[str],
    *,
    data: str | None = None,
    split: str | None = None,
    checkpoint: str = "last",
    ema: bool | None = None,
    batch_size: int | None = None,
    data_dir: str | None = None,
    per_class: bool = False,
) -> dict[str, Any]:
    """Evaluates, and appends the result to `evaluations.jsonl` of the run.

    Several processes evaluate a part each, and return the same; the first of them writes.

    Args:
      workdir: the run directory.
      data: the name of a dataset with the same classes in the same order, such as `imagenet_v2` or
        `imagenet2012_real`; None is the run's own.
      split: None is the only split of `data` if it has just one, else the run's evaluation split.
      checkpoint: `last`, `best` (by top-1 in training) or the number of a step.
      ema: whether to take the moving average; None takes it if the run has one.
      batch_size: None is the run's own.
      data_dir: None is the run's own.
      per_class: whether to count every class by itself too, and write `per_class_<split>.json`, or
        `per_class_<data>_<split>.json` of other data, to the run directory.

    Returns:
      `top1`, `top5`, `loss`, `num_images`, `images_per_second`, `data`, `split`, `step`, and
      `weights` (`ema` or `raw`); of a dataset whose labels are sets, `unlabelled_images`; and with
      `per_class`, `per_class` (see `mobilenet.tasks.classification.per_class`), which only its own
      file holds.

    Raises:
      UserError: no such run, checkpoint, data, split or moving average; the classes are others; or
        the run is of an older version of this code.
    """
    directory = pathlib.Path(workdir)
    config = read_current_config(directory).unlock()
    if data_dir is not None:
        config.data.data_dir = data_dir
    if batch_size is not None:
        config.evaluation.batch_size = batch_size
    has_ema = config.ema_decay is not None
    if ema and not has_ema:
        raise UserError(f"The run {directory} has no moving average: leave out --ema.")

    is_other = data is not None and data != config.data.name
    trained = read_config(directory).data
    if is_other:
        config.data.name = data
    eval_split = open_split(config.data, split or _default_split(config.data, is_other))
    check_is_complete(eval_split)
    if is_other:
        _check_classes(trained, eval_split)
    if per_class and jax.process_count() > 1:
        raise UserError("--per_class counts in one process: evaluate on one host alone.")
    if per_class and eval_split.has_label_sets:
        raise UserError(
            f"The labels of {eval_split.name} are sets, which have no accuracy by class: leave out "
            "--per_class."
        )
    network = build_network(config, eval_split.num_classes, with_predictions=per_class)
    check_eval_batch_size(network.mesh, config.evaluation.batch_size)
    checkpoints = Checkpoints(
        directory, keep=config.checkpoint.keep, scores=read_scores(directory), read_only=True
    )
    with contextlib.closing(checkpoints):
        # A run that goes on meanwhile may save another checkpoint before all have looked.
        step = find_step(checkpoints, checkpoint, directory) if is_first() else None
        step = from_first(step)
        weights = checkpoints.restore_weights(
            step, network.abstract_weights(with_ema=has_ema), replicated(network.mesh)
        )
    confusions = Confusions(eval_split.num_classes) if per_class else None
    use_ema = has_ema if ema is None else ema
    params, batch_stats = weights["ema"] if use_ema else (weights["params"], weights["batch_stats"])
    metrics = evaluate(
        network.eval_step,
        params,
        batch_stats,
        eval_batches(
            eval_split,
            config.data,
            size_of(config.model.resolution),
            config.evaluation.batch_size,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        ),
        num_examples=eval_split.num_examples,
        on_corrupt=config.data.on_corrupt,
        mesh=network.mesh,
        confusions=confusions,
    )
    result = {
        **metrics,
        "data": eval_split.name,
        "split": eval_split.split,
        "step": step,
        "weights": "ema" if use_ema else "raw",
    }
    if not is_first():
        return result
    with (
        os_errors_explained(f"write {directory / 'evaluations.jsonl'}"),
        (directory / "evaluations.jsonl").open("a", encoding="utf-8") as file,
    ):
        # The loss of a network that diverged may be no number, which JSON does not have.
        loss = metrics["loss"] if math.isfinite(metrics["loss"]) else None
        file.write(json.dumps({**result, "loss": loss}) + "\n")
    if confusions is None:
        return result
    summary = confusions.summarize(eval_split.class_names)
    name = f"{eval_split.name}_{eval_split.split}" if is_other else eval_split.split
    path = directory / f"per_class_{_as_file_name(name)}.json"
    with os_errors_explained(f"write {path}"):
        path.write_text(json.dumps({**result, "loss": loss, **summary}, indent=1) + "\n")
    return {**result, "per_class": summary}


def format_evaluation(result: dict[str, Any]) -> str:
    """Returns what `evaluate_run` returned, but for `per_class`, as one line."""
    unlabelled = result.get("unlabelled_images", 0)
    left_out = f" ({unlabelled:,} without a label left out)" if unlabelled else ""
    return (
        f"{result['data']}: top-1 {result['top1']:.2%}  top-5 {result['top5']:.2%}  "
        f"loss {result['loss']:.4f}  {result['num_images']:,} images{left_out} of "
        f"{result['split']}, step {result['step']:,}, {result['weights']} weights, "
        f"{result['images_per_second']:.0f} images/s"
    )


def _as_file_name(text: str) -> str:
    return re.sub(r"[^\w.%+-]+", "_", text).rstrip("_")


def _default_split(data_config: ml_collections.ConfigDict, is_other: bool) -> str:
    """The run's evaluation split; of other data their only split, if there is only one."""
    if is_other and not data_config.fake:
        splits = list_splits(data_config, prepare=True)
        if len(splits) == 1:
            return splits[0]
    return data_config.eval_split


def _check_classes(trained: ml_collections.ConfigDict, split: Split) -> None:
    """Checks that a split has the classes of the training data, as far as they have names."""
    is_named = not trained.fake and has_names(split.class_names)
    names = read_class_names(trained) if is_named else None
    if names is None:
        logging.warning(
            "The classes of %s cannot be compared by name with those of %s: only their number is "
            "checked.",
            split.name,
            trained.name,
        )
    elif names != split.class_names:
        differing = [
            f"class {label} is {mine} there and {its} here"
            for label, (mine, its) in enumerate(zip(names, split.class_names, strict=False))
            if mine != its
        ]
        difference = (
            differing[0]
            if len(names) == len(split.class_names)
            else (f"{len(names)} there, {len(split.class_names)} here")
        )
        raise UserError(
            f"The run was trained on {trained.name}, whose classes are not those of {split.name} "
            f"({difference}): evaluate it on data with the same classes in the same order."
        )


def find_step(checkpoints: Checkpoints, checkpoint: str, directory: pathlib.Path) -> int:
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
