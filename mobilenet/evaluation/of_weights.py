"""Evaluates published weights on a full split, as their publisher does."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np
from absl import logging

from mobilenet.config import size_of
from mobilenet.data.datasets import Split, check_is_complete, list_splits, open_split
from mobilenet.data.pipeline import Batch, eval_batches
from mobilenet.data.prepare.imagenet.labels import class_numbers
from mobilenet.errors import ConfigError, UserError
from mobilenet.evaluation.evaluate import evaluate
from mobilenet.networks.functional import split_model
from mobilenet.runtime.mesh import check_eval_batch_size
from mobilenet.training.experiment import build_network
from mobilenet.weights.pretrained import IMAGENET_CLASSES, Pretrained, load_pretrained

# WordNet's numbers, by which ImageNet calls its classes.
_WNID = re.compile(r"n\d{8}")


class Seeing(NamedTuple):
    """What the user wants otherwise than the publisher; None is the publisher's.

    The keys are those of `config.data`, and the resolution in pixels.
    """

    resolution: int | None = None
    eval_crop: str | None = None
    eval_fraction: float | None = None
    interpolation: str | None = None


_AS_PUBLISHED = Seeing()


def evaluate_pretrained(
    config: ml_collections.ConfigDict,
    weights: str,
    model: str,
    *,
    data: str,
    split: str | None = None,
    batch_size: int | None = None,
    data_dir: str | None = None,
    seeing: Seeing = _AS_PUBLISHED,
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
      seeing: what differs from the publisher's preprocessing.

    Returns:
      As `mobilenet.evaluation.evaluate.evaluate`, and `data`, `split`, `weights` (source and file)
      and `preprocessing` in words.

    Raises:
      UserError: the weights cannot be had or do not fit, or the data cannot be read, or have
        classes that are not the weights'.
    """
    images = open_images(config, data, split=split, batch_size=batch_size, data_dir=data_dir)
    knobs: dict[str, Any] = {} if seeing.resolution is None else {"resolution": seeing.resolution}
    return evaluate_on(images, load_pretrained(model, weights, **knobs), seeing)


class Images(NamedTuple):
    """A split whose classes are ImageNet's, or some of them.

    Attributes:
      config: complete, with the data written into it.
      split: opened.
      labels: ImageNet's label for each of the split; None where they are the same.
    """

    config: ml_collections.ConfigDict
    split: Split
    labels: np.ndarray | None


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
    return Images(config, opened, match_classes(opened))


def evaluate_on(
    images: Images, pretrained: Pretrained, seeing: Seeing = _AS_PUBLISHED
) -> dict[str, Any]:
    """Evaluates a network on opened images; returns what `evaluate_pretrained` does.

    Raises:
      UserError: the weights have no classifier, or the images cannot be read.
    """
    if not pretrained.has_own_classifier:
        raise UserError(f"The weights of {pretrained.origin} have no classifier to evaluate.")
    config = images.config.copy_and_resolve_references()
    described = _settle(config, pretrained, seeing)
    network = build_network(config, IMAGENET_CLASSES)
    check_eval_batch_size(network.mesh, config.evaluation.batch_size)
    _, params, batch_stats = split_model(pretrained.model)
    batches = eval_batches(
        images.split,
        config.data,
        size_of(config.model.resolution),
        config.evaluation.batch_size,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    metrics = evaluate(
        network.eval_step,
        params,
        batch_stats,
        batches if images.labels is None else _relabelled(batches, images.labels),
        num_examples=images.split.num_examples,
        on_corrupt=config.data.on_corrupt,
        mesh=network.mesh,
    )
    return {
        **metrics,
        "data": images.split.name,
        "split": images.split.split,
        "weights": pretrained.origin,
        "preprocessing": described,
    }


def format_pretrained(result: dict[str, Any]) -> str:
    """Returns what `evaluate_pretrained` returned as two lines."""
    unlabelled = result.get("unlabelled_images", 0)
    left_out = f" ({unlabelled:,} without a label left out)" if unlabelled else ""
    return (
        f"{result['weights']}; {result['preprocessing']}\n"
        f"top-1 {result['top1']:.2%}  top-5 {result['top5']:.2%}  loss {result['loss']:.4f}  "
        f"{result['num_images']:,} images{left_out} of {result['data']} {result['split']}, "
        f"{result['images_per_second']:.0f} images/s"
    )


def match_classes(split: Split) -> np.ndarray | None:
    """Returns ImageNet's label for each label of a split; None where they are the same.

    Raises:
      UserError: the classes have other names, and are not as many as ImageNet's.
    """
    names = split.class_names
    numbers = class_numbers()
    if all(_WNID.fullmatch(name) for name in names):
        if unknown := [name for name in names if name not in numbers]:
            raise UserError(
                f"The class {unknown[0]} of {split.name} is none of the 1000 of ImageNet 2012, "
                "which the weights know: leave it out of the dataset."
            )
        labels = np.array([numbers[name] for name in names], np.int32)
        return None if np.array_equal(labels, np.arange(IMAGENET_CLASSES)) else labels
    if len(names) == IMAGENET_CLASSES:
        logging.warning(
            "The classes of %s have no WordNet numbers (n01440764): they are taken to be in "
            "ImageNet's order.",
            split.name,
        )
        return None
    raise UserError(
        f"The classes of {split.name} ({', '.join(names[:3])}, ...) are not ImageNet's, which the "
        "weights know: a subset must name them by their WordNet numbers, such as n01440764."
    )


def _default_split(data_config: ml_collections.ConfigDict) -> str:
    # Opened first, because that prepares what is missing; the split may well not be there.
    with contextlib.suppress(ConfigError):
        return open_split(data_config, "validation").split
    splits = list_splits(data_config, prepare=True)
    if len(splits) > 1 and "test" not in splits:
        raise UserError(f"{data_config.name} has several splits: name one by --split.")
    return "test" if "test" in splits else splits[0]


def _settle(config: ml_collections.ConfigDict, pretrained: Pretrained, seeing: Seeing) -> str:
    """Writes what the weights need into the config, and says it."""
    preprocessing = pretrained.preprocessing
    changed = {name: value for name, value in seeing._asdict().items() if value is not None}
    own = {name: getattr(preprocessing, name) for name in Seeing._fields}
    settled = {**own, **changed}
    config.model.name = pretrained.model.architecture.name
    for knob, value in pretrained.knobs.items():
        config.model[knob] = value
    for key in ("eval_crop", "eval_fraction", "interpolation"):
        config.data[key] = settled[key]
    config.augment.mean, config.augment.stddev = preprocessing.mean, preprocessing.stddev
    config.compute_dtype = "float32"
    others = sorted(name for name in changed if changed[name] != own[name])
    whose = "the source's own preprocessing"
    if others:
        whose += f" but for {' and '.join(others)}"
    words = type(preprocessing)(
        mean=preprocessing.mean, stddev=preprocessing.stddev, **settled
    ).describe()
    return f"{whose}: {words}"


def _relabelled(batches: Iterator[Batch], labels: Sequence[int] | np.ndarray) -> Iterator[Batch]:
    """Gives images ImageNet's labels for those of a subset."""
    labels = np.asarray(labels, np.int32)
    for batch in batches:
        changed = {**batch, "labels": labels[batch["labels"]]}
        if "label_sets" in batch:
            changed["label_sets"] = np.zeros((len(batch["labels"]), IMAGENET_CLASSES), bool)
            changed["label_sets"][:, labels] = batch["label_sets"]
        yield changed
