"""Training steps of a network without normalisation: images are independent of each other."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mobilenet.networks.functional import Functions
from mobilenet.runs.state import create_state
from mobilenet.tasks.choose import choose_task
from mobilenet.training.step import make_train_step
from tests.helpers.small_config import get_config

CLASSES = 4
SCHEDULE = optax.constant_schedule(0.25)
_RNG = np.random.default_rng(1)
PARAMS = {
    "kernel": jnp.asarray(_RNG.normal(size=(3, CLASSES)), jnp.float32),
    "bias": jnp.asarray(_RNG.normal(size=CLASSES), jnp.float32),
}


def _logits(params, images):
    return images.mean((1, 2)) @ params["kernel"] + params["bias"][None]


# The statistics after a step show what the network was given.
LINEAR = Functions(
    train=lambda params, _, images, key: (
        _logits(params, images),
        {"images": images, "noise": jax.random.normal(key, (4,))},
    ),
    evaluate=lambda params, _, images: _logits(
        params, (images.astype(jnp.float32) - 127.5) / 127.5
    ),
)


def make_config(**changes):
    config = get_config()
    config.ema_decay = None
    config.label_smoothing = 0.0
    config.update_from_flattened_dict(changes)
    return config


def make_batch(size, *, side=4, valid=None):
    rng = np.random.default_rng(0)
    return {
        "images": rng.integers(0, 256, (size, side, side, 3), dtype=np.uint8),
        "labels": rng.integers(0, CLASSES, size, dtype=np.int32),
        "mask": (np.arange(size) < (size if valid is None else valid)).astype(np.float32),
    }


def with_others(batch, start):
    """The batch with other images and labels from `start` on."""
    images, labels = batch["images"].copy(), batch["labels"].copy()
    images[start:] = 255 - images[start:]
    labels[start:] = (labels[start:] + 1) % CLASSES
    return {**batch, "images": images, "labels": labels}


# Tests that say the same share a program, whichever part of it they say.
@functools.cache
def _compile(**changes):
    config, optimizer = make_config(**changes), optax.sgd(SCHEDULE)
    return jax.jit(make_train_step(LINEAR.train, choose_task(config), optimizer, SCHEDULE, config))


def take_step(batch, state=None, **changes):
    if state is None:
        size, *shape = batch["images"].shape
        size //= changes.get("optimizer.accumulation_steps", 1)
        stats = {"images": jnp.zeros((size, *shape)), "noise": jnp.zeros(4)}
        with_ema = "ema_decay" in changes
        state = create_state(PARAMS, stats, optax.sgd(SCHEDULE), with_ema=with_ema)
    return _compile(**changes)(state, jax.tree.map(jnp.asarray, batch))


def log_softmax(logits):
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
