"""A training step on mixed images: the loss of soft labels, what counts as right, micro-batches."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mobilenet.tasks.choose import choose_task
from mobilenet.tasks.classification.mixing import Mixture
from mobilenet.tasks.task import split_key
from mobilenet.training.step import micro_batch_key, split_batch, step_key
from tests.helpers.linear_step import (
    PARAMS,
    log_softmax,
    make_batch,
    make_config,
    take_step,
    with_others,
)
from tests.helpers.states import assert_equal

_MIXED = {"label_smoothing": 0.1, "augment.mixup_alpha": 1.0, "optimizer.accumulation_steps": 1}


@functools.cache
def _compiled_prepare():
    return jax.jit(choose_task(make_config(**_MIXED)).prepare)


def _mixed(batch, keys):
    """The images that the network is given, and what their labels are a mixture of."""
    prepared = _compiled_prepare()(jax.tree.map(jnp.asarray, batch), keys)
    return prepared["images"], Mixture(prepared["others"], prepared["shares"])


def _expected(batch, images, mixture, smoothing):
    """Loss and hits, image by image: smoothed first, mixed then, as torchvision's references."""
    logits = np.asarray(images, np.float64).mean((1, 2)) @ np.float64(PARAMS["kernel"])
    logits += np.float64(PARAMS["bias"])
    log_p = log_softmax(logits)

    def loss(row, label):
        return -(1 - smoothing) * log_p[row, label] - smoothing * log_p[row].mean()

    losses, hits = [], []
    for row in np.flatnonzero(batch["mask"]):
        own, other = int(batch["labels"][row]), int(mixture.others[row])
        share = float(mixture.shares[row])
        losses.append(share * loss(row, own) + (1 - share) * loss(row, other))
        hits.append(logits[row].argmax() == (own if share >= 0.5 else other))
    return losses, hits


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_that_of_both_labels_by_their_shares(smoothing):
    batch = make_batch(8, valid=6)
    _, metrics = take_step(batch, **{**_MIXED, "label_smoothing": smoothing})
    keys = split_key(step_key(0, 0))
    losses, hits = _expected(batch, *_mixed(batch, keys), smoothing)
    np.testing.assert_allclose(metrics["loss"], np.mean(losses), rtol=1e-5)
    np.testing.assert_allclose(metrics["top1"], np.mean(hits), rtol=1e-6)
    assert metrics["images"] == 6


@pytest.mark.parametrize(
    ("key", "parts"),
    [("augment.mixup_alpha", 1), ("augment.mixup_alpha", 2), ("augment.cutmix_alpha", 2)],
)
def test_masked_images_weigh_nothing(key, parts):
    mixed = {"augment.mixup_alpha": 0.0, key: 1.0, "optimizer.accumulation_steps": parts}
    batch = make_batch(8, valid=5)
    (state, metrics), (other_state, other_metrics) = (
        take_step(b, **{**_MIXED, **mixed}) for b in (batch, with_others(batch, 5))
    )
    assert_equal((metrics, state.params), (other_metrics, other_state.params))
    assert metrics["images"] == 5


def test_a_micro_batch_is_mixed_within_itself():
    batch = make_batch(8)
    _, metrics = take_step(batch, **{**_MIXED, "optimizer.accumulation_steps": 2})
    losses = []
    for index in range(2):
        # Micro-batch m holds every second image from m on.
        micro = {name: value[index::2] for name, value in batch.items()}
        for name, value in split_batch(jax.tree.map(jnp.asarray, batch), 2).items():
            np.testing.assert_array_equal(value[index], micro[name])
        keys = split_key(micro_batch_key(step_key(0, 0), index))
        images, mixture = _mixed(micro, keys)
        np.testing.assert_array_equal(mixture.others, np.roll(micro["labels"], 1))
        losses += _expected(micro, images, mixture, 0.1)[0]
    np.testing.assert_allclose(metrics["loss"], np.mean(losses), rtol=1e-5)
