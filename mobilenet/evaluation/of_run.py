"""Evaluates a checkpoint of a run directory on a full split."""

import json
import os
import pathlib
import re
from typing import Any

import ml_collections
from absl import logging

from mobilenet.data.datasets import Split, check_is_complete, has_names, list_splits, open_split
from mobilenet.data.of_config import eval_batches
from mobilenet.errors import UserError, os_errors_explained
from mobilenet.evaluation.evaluate import evaluate
from mobilenet.evaluation.text import describe_metrics, format_tables
from mobilenet.runs.json_files import finite_or_none, write_json
from mobilenet.runs.weights import RunWeights, open_weights
from mobilenet.runtime.agreement import is_first
from mobilenet.runtime.mesh import check_eval_batch_size


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
      checkpoint: `last`, `best` (by the task's score in training) or the number of a step.
      ema: whether to take the moving average; None takes it if the run has one.
      batch_size: None is the run's own.
      data_dir: None is the run's own.
      per_class: whether to count every class by itself too, and write `per_class_<split>.json`, or
        `per_class_<data>_<split>.json` of other data, to the run directory.

    Returns:
      What `evaluate` returns, `best` (see `Task`), `data`, `split`, `step` and `weights` (`ema` or
      `raw`). The file of all evaluations does without `per_class`, which has its own.

    Raises:
      UserError: no such run, checkpoint, data, split or moving average; the classes are others; or
        the run is of an older version of this code.
    """
    run = open_weights(workdir, checkpoint=checkpoint, ema=ema)
    network, config = run.network, run.config.copy_and_resolve_references().unlock()
    if data_dir is not None:
        config.data.data_dir = data_dir
    if batch_size is not None:
        config.evaluation.batch_size = batch_size
    check_eval_batch_size(network.mesh, config.evaluation.batch_size)
    is_other = data is not None and data != config.data.name
    if is_other:
        config.data.name = data
    eval_split = open_split(config.data, split or _default_split(config.data, is_other))
    check_is_complete(eval_split)
    _check_classes(run, eval_split)
    metrics = evaluate(
        network,
        run.params,
        run.batch_stats,
        eval_batches(config, eval_split, network.task.target),
        eval_split,
        on_corrupt=config.data.on_corrupt,
        per_class=per_class,
    )
    tables = metrics.pop("per_class", None)
    result = {
        "best": network.task.best,
        **metrics,
        "data": f"fake {eval_split.name}" if config.data.fake else eval_split.name,
        "split": eval_split.split,
        "step": run.step,
        "weights": run.kind,
    }
    if is_first():
        _write(run.directory, result, tables, is_other)
    return result if tables is None else {**result, "per_class": tables}


def _write(
    directory: pathlib.Path, result: dict[str, Any], tables: dict[str, Any] | None, is_other: bool
) -> None:
    plain = finite_or_none(result)  # the loss of a network that diverged
    path = directory / "evaluations.jsonl"
    with os_errors_explained(f"write {path}"), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(plain) + "\n")
    if tables is None:
        return
    name = f"{result['data']}_{result['split']}" if is_other else result["split"]
    path = directory / f"per_class_{_as_file_name(name)}.json"
    write_json(path, {**plain, **tables})


def format_evaluation(result: dict[str, Any]) -> str:
    """Returns what `evaluate_run` returned as text: the tables of `per_class`, and one line."""
    tables = result.get("per_class")
    shown = f"{format_tables(tables, result['best'])}\n\n" if tables else ""
    return (
        f"{shown}{result['data']}: {describe_metrics(result)} of {result['split']}, step "
        f"{result['step']:,}, {result['weights']} weights, "
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


def _check_classes(run: RunWeights, split: Split) -> None:
    """Checks that a split has the classes of the training data, as far as they have names."""
    there, here = run.class_names, split.class_names
    difference = None
    if len(there) != len(here):
        difference = f"{len(there)} there, {len(here)} here"
    elif has_names(there) and has_names(here):
        differing = (
            f"class {label} is {mine} there and {its} here"
            for label, (mine, its) in enumerate(zip(there, here, strict=True))
            if mine != its
        )
        difference = next(differing, None)
    elif split.name != run.config.data.name:
        logging.warning(
            "The classes of %s cannot be compared by name with those of %s: only their number is "
            "checked.",
            split.name,
            run.config.data.name,
        )
    if difference is not None:
        raise UserError(
            f"The run was trained on {run.config.data.name}, whose classes are not those of "
            f"{split.name} ({difference}): evaluate it on data with the same classes in the same "
            "order."
        )
