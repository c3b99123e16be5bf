"""One training step, as a pure function."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import ml_collections
import optax
from jaxtyping import Array, PyTree

from mobilenet.networks.functional import TrainFunction, Tree
from mobilenet.runs.state import TrainState
from mobilenet.tasks.task import Batch, Sums, Task, count_images, split_key
from mobilenet.training.ema import update_ema

Metrics = dict[str, Array]
TrainStep = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


def make_train_step(
    apply: TrainFunction,
    task: Task,
    optimizer: optax.GradientTransformation,
    schedule: optax.Schedule,
    config: ml_collections.ConfigDict,
) -> TrainStep:
    """Returns the function (state, batch) -> (state, metrics).

    All randomness comes from (config.seed, state.step). Metrics are float32 scalars: `loss` and the
    other sums of the task over its weight (see `Task.loss`), `images`, `learning_rate` and
    `gradient_norm`. An image whose mask is 0 weighs nothing in them or in the gradient, but it is a
    part of the batch that BatchNorm normalises: training has such images only where corrupt ones
    are skipped. Micro-batches are prepared each for itself: images are mixed within one.
    """
    accumulation_steps = config.optimizer.accumulation_steps

    def loss_sum(
        params: Tree, batch_stats: Tree, batch: Batch, key: Array
    ) -> tuple[Array, tuple[Tree, Sums]]:
        keys = split_key(key)
        batch = task.prepare(batch, keys)
        outputs, batch_stats = apply(params, batch_stats, batch["images"], keys["dropout"])
        sums = task.loss(outputs, batch)
        return sums["loss"], (batch_stats, {"images": count_images(batch), **sums})

    def accumulate(
        params: Tree, batch_stats: Tree, batch: Batch, key: Array
    ) -> tuple[PyTree[Array], Tree, Sums]:
        """Returns gradient and sums over all images; statistics follow each micro-batch."""

        def add(carry: tuple, micro: tuple[Array, Batch]) -> tuple[tuple, Sums]:
            gradient, batch_stats = carry
            index, batch = micro
            micro_key = micro_batch_key(key, index)
            more, (batch_stats, sums) = jax.grad(loss_sum, has_aux=True)(
                params, batch_stats, batch, micro_key
            )
            return (jax.tree.map(jnp.add, gradient, more), batch_stats), sums

        first = (jax.tree.map(jnp.zeros_like, params), batch_stats)
        micro_batches = split_batch(batch, accumulation_steps)
        (gradient, batch_stats), sums = jax.lax.scan(
            add, first, (jnp.arange(accumulation_steps), micro_batches)
        )
        return gradient, batch_stats, jax.tree.map(lambda x: x.sum(0), sums)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = step_key(config.seed, state.step)
        if accumulation_steps > 1:
            gradient, batch_stats, sums = accumulate(state.params, state.batch_stats, batch, key)
        else:
            gradient, (batch_stats, sums) = jax.grad(loss_sum, has_aux=True)(
                state.params, state.batch_stats, batch, key
            )
        # A batch can be masked out entirely where corrupt images are skipped.
        images, weight = sums.pop("images"), jnp.maximum(sums.pop("weight"), 1)
        gradient = jax.tree.map(lambda g: g / weight.astype(g.dtype), gradient)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        ema = state.ema
        if ema is not None:
            ema = update_ema(ema, (params, batch_stats), config.ema_decay, state.step)
        metrics = {
            **{name: value / weight.astype(value.dtype) for name, value in sums.items()},
            "images": images,
            "learning_rate": schedule(state.step),
            "gradient_norm": optax.tree.norm(gradient),
        }
        return TrainState(state.step + 1, params, batch_stats, opt_state, ema), metrics

    return step


def step_key(seed: int, step: int | Array) -> Array:
    """Returns the key of all that is random in a step; steps count from 0."""
    return jax.random.fold_in(jax.random.key(seed), step)


def micro_batch_key(key: Array, index: int | Array) -> Array:
    """Returns the key of one of the micro-batches of a step with gradient accumulation."""
    return jax.random.fold_in(key, index)


def split_batch(batch: Batch, parts: int) -> Batch:
    """[parts * n, ...] to [parts, n, ...] so that each device keeps the images it holds."""

    def split(x: Array) -> Array:
        return jnp.swapaxes(x.reshape(x.shape[0] // parts, parts, *x.shape[1:]), 0, 1)

    return jax.tree.map(split, batch)
