"""A training step on mixed images: the loss of soft labels, what counts as right, micro-batches."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mobilenet.networks.functional import Functions
from mobilenet.runs.state import create_state
from mobilenet.tasks.choose import choose_task
from mobilenet.tasks.classification.mixing import Mixture
from mobilenet.tasks.task import split_key
from mobilenet.training.step import make_train_step, micro_batch_key, split_batch, step_key
from tests.helpers.small_config import get_config

_CLASSES = 4
_SCHEDULE = optax.constant_schedule(0.25)


def _linear_logits(params, images):
    return images.mean((1, 2)) @ params["kernel"]


# Its statistics show what the network was given.
_LINEAR = Functions(
    train=lambda params, _, images, _key: (_linear_logits(params, images), {"images": images}),
    evaluate=lambda params, _, images: _linear_logits(params, images),
)
_PARAMS = {"kernel": jnp.asarray(np.random.default_rng(1).normal(size=(3, _CLASSES)), jnp.float32)}


_DEFAULTS = {"label_smoothing": 0.1, "augment.mixup_alpha": 1.0, "optimizer.accumulation_steps": 1}


def _config(**changes):
    config = get_config()
    config.ema_decay = None
    config.update_from_flattened_dict({**_DEFAULTS, **changes})
    return config


def _batch(size, valid=None):
    rng = np.random.default_rng(3)
    mask = np.ones(size, np.float32)
    if valid is not None:
        mask[valid:] = 0
    return {
        "images": jnp.asarray(rng.integers(0, 256, (size, 4, 4, 3)), jnp.uint8),
        "labels": jnp.asarray(rng.integers(0, _CLASSES, size), jnp.int32),
        "mask": jnp.asarray(mask),
    }


@functools.cache
def _compiled_step(**changes):
    config, optimizer = _config(**changes), optax.sgd(_SCHEDULE)
    return jax.jit(make_train_step(_LINEAR, choose_task(config), optimizer, _SCHEDULE, config))


@functools.cache
def _compiled_prepare():
    return jax.jit(choose_task(_config()).prepare)


def _mixed(batch, keys):
    """The images that the network is given, and what their labels are a mixture of."""
    prepared = _compiled_prepare()(batch, keys)
    return prepared["images"], Mixture(prepared["others"], prepared["shares"])


def _take_step(batch, **changes):
    # Tests that say the same share a program, whichever part of it they say.
    changes = {**_DEFAULTS, **changes}
    parts = changes["optimizer.accumulation_steps"]
    stats = {"images": jnp.zeros((len(batch["mask"]) // parts, 4, 4, 3))}
    state = create_state(_PARAMS, stats, optax.sgd(_SCHEDULE), with_ema=False)
    return _compiled_step(**changes)(state, batch)


def _log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def _expected(batch, images, mixture, smoothing):
    """Loss and hits, image by image: smoothed first, mixed then, as torchvision's references."""
    logits = np.asarray(images, np.float64).mean((1, 2)) @ np.float64(_PARAMS["kernel"])
    log_p = _log_softmax(logits)

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
    config, batch = _config(), _batch(8, valid=6)
    _, metrics = _take_step(batch, label_smoothing=smoothing)
    keys = split_key(step_key(config.seed, 0))
    losses, hits = _expected(batch, *_mixed(batch, keys), smoothing)
    np.testing.assert_allclose(metrics["loss"], np.mean(losses), rtol=1e-5)
    np.testing.assert_allclose(metrics["top1"], np.mean(hits), rtol=1e-6)
    assert metrics["images"] == 6


@pytest.mark.parametrize(
    ("key", "parts"),
    [("augment.mixup_alpha", 1), ("augment.mixup_alpha", 2), ("augment.cutmix_alpha", 2)],
)
def test_masked_images_weigh_nothing(key, parts):
    changes = {"augment.mixup_alpha": 0.0, key: 1.0, "optimizer.accumulation_steps": parts}
    batch = _batch(8, valid=5)
    other = dict(batch)
    other["images"] = batch["images"].at[5:].set(255 - batch["images"][5:])
    other["labels"] = batch["labels"].at[5:].set((batch["labels"][5:] + 1) % _CLASSES)
    results = [_take_step(b, **changes) for b in (batch, other)]
    (state, metrics), (other_state, other_metrics) = results
    jax.tree.map(np.testing.assert_array_equal, metrics, other_metrics)
    jax.tree.map(np.testing.assert_array_equal, state.params, other_state.params)
    assert metrics["images"] == 5


def test_a_micro_batch_is_mixed_within_itself():
    config, batch = _config(), _batch(8)
    _, metrics = _take_step(batch, **{"optimizer.accumulation_steps": 2})
    losses = []
    for index in range(2):
        # Micro-batch m holds every second image from m on.
        micro = {name: value[index::2] for name, value in batch.items()}
        for name, value in split_batch(batch, 2).items():
            np.testing.assert_array_equal(value[index], micro[name])
        keys = split_key(micro_batch_key(step_key(config.seed, 0), index))
        images, mixture = _mixed(micro, keys)
        np.testing.assert_array_equal(mixture.others, np.roll(micro["labels"], 1))
        losses += _expected(micro, images, mixture, 0.1)[0]
    np.testing.assert_allclose(metrics["loss"], np.mean(losses), rtol=1e-5)
