"""Which class an image is of."""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from mobilenet.data.crops import Crop
from mobilenet.data.datasets import Split
from mobilenet.data.records import Record, RecordError
from mobilenet.errors import ConfigError, UserError
from mobilenet.networks.preprocessing import normalize
from mobilenet.tasks.backbone import build_backbone
from mobilenet.tasks.classification import BEST
from mobilenet.tasks.classification.mixing import Mixture, check_mixing, mix
from mobilenet.tasks.classification.per_class import Confusions
from mobilenet.tasks.pixels.augment import make_augment
from mobilenet.tasks.task import Batch, HostBatch, Keys, Sums, Task, count_images

# The label of an image that is not to be counted.
_NO_LABEL = -1


def make_classification(config: ml_collections.ConfigDict) -> Task:
    """Returns the task for a config.

    Raises:
      ConfigError: `config.augment` or `config.label_smoothing` holds a value that cannot work.
    """
    if not 0 <= config.label_smoothing < 1:
        raise ConfigError(
            f"config.label_smoothing must be at least 0 and below 1, not {config.label_smoothing}."
        )
    return Task(
        best=BEST,
        network=build_backbone,
        target=label_of,
        prepare=_make_prepare(config.augment),
        loss=functools.partial(sum_losses, label_smoothing=config.label_smoothing),
        score=score_batch,
        summarize=summarize,
    )


def label_of(split: Split, record: Record | None, crop: Crop | None) -> Mapping[str, Any]:
    """Returns int32 `labels`, and bool `label_sets[classes]` where the dataset has such sets."""
    del crop  # the class is that of the whole image
    classes, sets = split.num_classes, {}
    if split.has_label_sets:
        sets["label_sets"] = np.zeros(classes, bool)
    if record is None:
        return {"labels": np.int32(0), **sets}
    if not 0 <= record.label < classes:
        raise RecordError(
            f"has the label {record.label}, and there are {classes} classes: choose a split with "
            "labels"
        )
    if split.has_label_sets:
        sets["label_sets"][list(record.label_set or ())] = True
    return {"labels": np.int32(record.label), **sets}


def _make_prepare(config: ml_collections.ConfigDict) -> Any:
    """Returns the function of `config.augment`: flip, colour, erasing, mixup or cutmix, scaling."""
    augment = make_augment(config)
    check_mixing(config)

    def prepare(batch: Batch, keys: Keys) -> Batch:
        images, mixed = augment(batch["images"], keys), {}
        if config.mixup_alpha or config.cutmix_alpha:
            images, mixture = mix(
                images,
                batch["labels"],
                batch["mask"],
                keys["mix"],
                mixup_alpha=config.mixup_alpha,
                cutmix_alpha=config.cutmix_alpha,
                probability=config.mix_probability,
            )
            mixed = mixture._asdict()
        images = normalize(images, config.mean, config.stddev)
        return {**batch, **mixed, "images": images}

    return prepare


def sum_losses(
    logits: Float[Array, "n classes"], batch: Batch, *, label_smoothing: float = 0.0
) -> Sums:
    """Returns the sums over images of `loss` and `top1`, and their number as `weight`."""
    mixture = None
    if "others" in batch:
        mixture = Mixture(**{name: batch[name] for name in Mixture._fields})
    sums = sum_over_images(
        logits,
        batch["labels"],
        batch["mask"],
        label_smoothing=label_smoothing,
        mixture=mixture,
    )
    return {"loss": sums["loss"], "top1": sums["top1"], "weight": count_images(batch)}


def score_batch(logits: Float[Array, "n classes"], batch: Batch) -> Sums:
    """Returns what a batch adds to `summarize`: sums without smoothing, and who was taken for whom.

    In a batch with `label_sets` the class of the set that ranks first stands for the set: top-1 is
    right if the network's first class is in the set (Beyer et al., 2006.07159, section 3), top-5 if
    one of its first five is. Images with an empty set are left out. Other batches come with int32
    `labels[n]`, -1 where an image is not to be counted, and `predictions[n]`, the class that ranks
    first.
    """
    labels, mask = batch["labels"], batch["mask"]
    if "label_sets" in batch:
        sets = batch["label_sets"]
        labels = jnp.argmax(jnp.where(sets, logits, -jnp.inf), axis=-1).astype(jnp.int32)
        has_label = sets.any(-1)
        unlabelled = ((mask > 0) & ~has_label).sum(dtype=logits.dtype)
        mask = jnp.where(has_label, mask, 0)
        return {**sum_over_images(logits, labels, mask), "unlabelled": unlabelled}
    return {
        **sum_over_images(logits, labels, mask),
        "labels": jnp.where(mask > 0, labels, _NO_LABEL),
        "predictions": jnp.argmax(logits, axis=-1).astype(jnp.int32),
    }


def summarize(scores: Sequence[HostBatch], split: Split, per_class: bool) -> dict[str, Any]:
    """Returns `top1` and `top5` (shares of 1), `loss` (nats) and `num_images`; NaN for no images.

    Where labels are sets, `unlabelled_images` says how many have an empty one and are left out, as
    all else counts `num_images`. `per_class` is that of `Confusions.summarize`.

    Raises:
      UserError: `per_class` of labels that are sets.
    """
    # Python's floats have 64 bits: a float32 sum would lose whole images on a large split.
    totals = {
        name: sum(float(score[name]) for score in scores)
        for name in ("top1", "top5", "loss", "images", "unlabelled")
        if name in scores[0]
    }
    images = int(totals["images"])
    # Of no image there is no share: all of a batch may be corrupt, or without a label.
    found: dict[str, Any] = {
        name: totals[name] / images if images else math.nan for name in ("top1", "top5", "loss")
    }
    found["num_images"] = images
    if "unlabelled" in totals:
        found["unlabelled_images"] = int(totals["unlabelled"])
    if per_class:
        if "predictions" not in scores[0]:
            raise UserError(
                f"The labels of {split.name} are sets, which have no accuracy by class: leave out "
                "--per_class."
            )
        confusions = Confusions(split.num_classes)
        for score in scores:
            counted = score["labels"] != _NO_LABEL
            confusions.add(score["labels"][counted], score["predictions"][counted])
        found["per_class"] = confusions.summarize(split.class_names)
    return found


def sum_over_images(
    logits: Float[Array, "n classes"],
    labels: Int[Array, " n"],
    mask: Float[Array, " n"],
    *,
    label_smoothing: float = 0.0,
    mixture: Mixture | None = None,
) -> Sums:
    """Returns the sums over images of `loss`, `top1` and `top5`, and the number of `images`.

    The loss is the cross-entropy in nats. Of equal logits that of the lower class ranks first.
    Smoothing mixes the labels with the uniform distribution over all classes (TensorFlow's
    tf.losses.softmax_cross_entropy, which slim uses). The target of a `mixture` is that of both
    labels by their shares, and the label with the larger one is counted.
    """
    classes = logits.shape[-1]
    targets = jax.nn.one_hot(labels, classes, dtype=logits.dtype)
    counted = targets
    if mixture is not None:
        share = mixture.shares.astype(logits.dtype)[:, None]
        others = jax.nn.one_hot(mixture.others, classes, dtype=logits.dtype)
        targets = share * targets + (1 - share) * others
        labels = mixture.dominant(labels)
        counted = jax.nn.one_hot(labels, classes, dtype=logits.dtype)
    smooth = targets * (1 - label_smoothing) + label_smoothing / classes
    losses = optax.softmax_cross_entropy(logits, smooth)
    # Not by lax.top_k, for which XLA gathers the logits of all devices. A logit that is no number
    # is never below another, so that a network that diverged has no hits.
    own = jnp.where(counted > 0, logits, 0).sum(-1, keepdims=True)
    is_before = jnp.arange(classes, dtype=labels.dtype)[None] < labels[:, None]
    rank = (~(logits <= own) | (logits == own) & is_before).sum(-1)
    valid = mask > 0
    return {
        # A product would let a loss that is not finite through: 0 times infinity is no number.
        "loss": jnp.where(valid, losses, 0).sum(),
        "top1": ((rank < 1) & valid).sum(dtype=losses.dtype),
        "top5": ((rank < min(5, classes)) & valid).sum(dtype=losses.dtype),
        "images": valid.sum(dtype=losses.dtype),
    }
