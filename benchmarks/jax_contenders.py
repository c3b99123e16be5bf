"""Ours, as `train.py` runs it, and a plain Flax network."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from benchmarks.plain_flax import PlainMobileNet, split_plain
from benchmarks.timing import Turn, repeat_steps
from benchmarks.workload import StepWorkload
from mobilenet.factory import create_model
from mobilenet.networks.functional import split_model
from mobilenet.networks.models import MobileNet

LEARNING_RATE, MOMENTUM = 0.01, 0.9


def train_ours(workload: StepWorkload) -> Turn:
    functions, params, batch_stats = split_model(_our_model(workload))
    key = jax.random.key(0)

    def forward(params: Any, batch_stats: Any, images: jax.Array) -> tuple[jax.Array, Any]:
        return functions.train(params, batch_stats, images, key)

    return _train(workload, forward, params, batch_stats)


def train_flax(workload: StepWorkload) -> Turn:
    network = PlainMobileNet(workload.architecture(), jnp.dtype(workload.compute_dtype))
    return _train(workload, *split_plain(network))


def infer_ours(workload: StepWorkload) -> Turn:
    functions, params, batch_stats = split_model(_our_model(workload))

    def apply(weights: tuple[Any, Any], images: jax.Array) -> jax.Array:
        return functions.evaluate(*weights, images)

    return _infer(workload, apply, (params, batch_stats))


def infer_flax(workload: StepWorkload) -> Turn:
    network = PlainMobileNet(workload.architecture(), jnp.dtype(workload.compute_dtype))
    network.eval()
    graph, weights = nnx.split(network)
    return _infer(workload, lambda weights, images: nnx.merge(graph, weights)(images), weights)


def _our_model(workload: StepWorkload) -> MobileNet:
    return create_model(
        workload.model,
        width=workload.width,
        resolution=workload.resolution,
        dropout=0.0,
        dtype=jnp.dtype(workload.compute_dtype),
    )


def _train(
    workload: StepWorkload, forward: Callable[..., tuple[jax.Array, Any]], params: Any, stats: Any
) -> Turn:
    optimizer = optax.sgd(LEARNING_RATE, MOMENTUM)
    images, labels = map(jnp.asarray, workload.random_batch())
    labels = labels.astype(np.int32)

    def loss(params: Any, stats: Any, images: jax.Array) -> tuple[jax.Array, Any]:
        logits, stats = forward(params, stats, images)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), stats

    def step(params: Any, stats: Any, opt_state: Any, images: jax.Array) -> tuple[Any, Any, Any]:
        gradient, stats = jax.grad(loss, has_aux=True)(params, stats, images)
        updates, opt_state = optimizer.update(gradient, opt_state, params)
        return optax.apply_updates(params, updates), stats, opt_state

    compiled = jax.jit(step, donate_argnums=(0, 1, 2))
    state = (params, stats, optimizer.init(params))

    def run() -> None:
        nonlocal state
        state = jax.block_until_ready(compiled(*state, images))

    return repeat_steps(run)


def _infer(
    workload: StepWorkload, apply: Callable[[Any, jax.Array], jax.Array], weights: Any
) -> Turn:
    compiled = jax.jit(apply)
    images = jnp.asarray(workload.random_batch()[0])
    return repeat_steps(lambda: compiled(weights, images).block_until_ready())
