"""Evaluates published weights on a full split, as their publisher does."""

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import ml_collections

from mobilenet.data.datasets import Split, check_is_complete, list_splits, open_split
from mobilenet.data.of_config import eval_batches
from mobilenet.data.pipeline import Target
from mobilenet.errors import ConfigError, UserError
from mobilenet.evaluation.evaluate import evaluate
from mobilenet.evaluation.text import describe_metrics
from mobilenet.networks.functional import split_model
from mobilenet.runtime.mesh import check_eval_batch_size
from mobilenet.tasks.classification.imagenet_classes import imagenet_target
from mobilenet.tasks.network import build_network
from mobilenet.weights.pretrained import IMAGENET_CLASSES, Pretrained, load_pretrained

# What the user may want otherwise than the publisher: pixels, and keys of `config.data`.
_OF_DATA = ("eval_crop", "eval_fraction", "interpolation")
KNOBS = ("resolution", *_OF_DATA)


def evaluate_pretrained(
    config: ml_collections.ConfigDict,
    weights: str,
    model: str,
    *,
    data: str,
    split: str | None = None,
    batch_size: int | None = None,
    data_dir: str | None = None,
    **knobs: Any,
) -> dict[str, Any]:
    """Evaluates published ImageNet weights in float32.

    All 1000 classes take part, though the data have images of a few of them only.

    Args:
      config: the complete default config; the rest of it, such as threads, is kept.
      weights: as in `mobilenet.weights.pretrained.load_pretrained`.
      model: the network's name, such as `mobilenet_v2_100`.
      data: the name of a dataset whose classes are ImageNet's, or some of them under their WordNet
        numbers (n01440764).
      split: None is `validation` or `test`, or the only one.
      batch_size: None is the config's.
      data_dir: None is TFDS's own.
      knobs: some of `KNOBS`, with what differs from the publisher's preprocessing.

    Returns:
      As `mobilenet.evaluation.evaluate.evaluate`, and `data`, `split`, `weights` (source and file)
      and `preprocessing` in words.

    Raises:
      UserError: the weights cannot be had or do not fit, or the data cannot be read, or have
        classes that are not the weights'.
    """
    images = open_images(config, data, split=split, batch_size=batch_size, data_dir=data_dir)
    resolution = {name: value for name, value in knobs.items() if name == "resolution"}
    return evaluate_on(images, load_pretrained(model, weights, **resolution), **knobs)


class Images(NamedTuple):
    """A split whose classes are ImageNet's, or some of them."""

    config: ml_collections.ConfigDict  # complete, with the data written into it
    split: Split
    target: Target  # gives its images the classes of ImageNet


def open_images(
    config: ml_collections.ConfigDict,
    data: str,
    *,
    split: str | None = None,
    batch_size: int | None = None,
    data_dir: str | None = None,
) -> Images:
    """Opens a split for `evaluate_on`; arguments as in `evaluate_pretrained`.

    Raises:
      UserError: the data cannot be read, or have classes that are not ImageNet's.
    """
    config = config.copy_and_resolve_references().unlock()
    config.data.name, config.data.data_dir = data, data_dir
    if batch_size is not None:
        config.evaluation.batch_size = batch_size
    opened = open_split(config.data, split or _default_split(config.data))
    check_is_complete(opened)
    return Images(config, opened, imagenet_target(opened))


def evaluate_on(images: Images, pretrained: Pretrained, **knobs: Any) -> dict[str, Any]:
    """Evaluates a network on opened images; the rest is as in `evaluate_pretrained`.

    Raises:
      UserError: the weights have no classifier, or the images cannot be read.
    """
    if not pretrained.has_own_classifier:
        raise UserError(f"The weights of {pretrained.origin} have no classifier to evaluate.")
    config = images.config.copy_and_resolve_references()
    described = _settle(config, pretrained, knobs)
    network = build_network(config, IMAGENET_CLASSES)
    check_eval_batch_size(network.mesh, config.evaluation.batch_size)
    _, params, batch_stats = split_model(pretrained.model)
    metrics = evaluate(
        network,
        params,
        batch_stats,
        eval_batches(config, images.split, images.target),
        images.split,
        on_corrupt=config.data.on_corrupt,
    )
    return {
        "best": network.task.best,
        **metrics,
        "data": images.split.name,
        "split": images.split.split,
        "weights": pretrained.origin,
        "preprocessing": described,
    }


def format_pretrained(result: dict[str, Any]) -> str:
    """Returns what `evaluate_pretrained` returned as two lines."""
    return (
        f"{result['weights']}; {result['preprocessing']}\n{describe_metrics(result)} of "
        f"{result['data']} {result['split']}, {result['images_per_second']:.0f} images/s"
    )


def _default_split(data_config: ml_collections.ConfigDict) -> str:
    # Opened first, because that prepares what is missing; the split may well not be there.
    with contextlib.suppress(ConfigError):
        return open_split(data_config, "validation").split
    splits = list_splits(data_config, prepare=True)
    if len(splits) > 1 and "test" not in splits:
        raise UserError(f"{data_config.name} has several splits: name one by --split.")
    return "test" if "test" in splits else splits[0]


def _settle(
    config: ml_collections.ConfigDict, pretrained: Pretrained, knobs: Mapping[str, Any]
) -> str:
    """Writes what the weights need into the config, and says it."""
    architecture, theirs = pretrained.model.architecture, pretrained.model.preprocessing
    ours = dataclasses.replace(theirs, **knobs)
    knobs_of_network = dataclasses.asdict(architecture)
    del knobs_of_network["num_classes"]  # of the data
    config.model.update(name=architecture.name, **knobs_of_network)
    for key in _OF_DATA:
        config.data[key] = getattr(ours, key)
    config.augment.mean, config.augment.stddev = ours.mean, ours.stddev
    config.compute_dtype = "float32"
    others = sorted(name for name in knobs if getattr(ours, name) != getattr(theirs, name))
    but_for = f" but for {' and '.join(others)}" if others else ""
    return f"the source's own preprocessing{but_for}: {ours.describe()}"
