"""The training step of a config with a plain Flax network, to compare compiled programs with."""

import functools

import jax
import jax.numpy as jnp
import ml_collections
from flax import nnx
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array

from benchmarks.plain_flax import PlainFunction, PlainMobileNet, split_plain
from mobilenet.networks.functional import TrainFunction, Tree
from mobilenet.runs.state import TrainState, create_state
from mobilenet.runtime import mesh as meshes
from mobilenet.training.experiment import Experiment
from mobilenet.training.optimizer import make_optimizer
from mobilenet.training.schedule import make_schedule
from mobilenet.training.step import TrainStep, make_train_step


def build_plain_step(
    config: ml_collections.ConfigDict, experiment: Experiment
) -> tuple[TrainStep, TrainState]:
    """Returns the step, and the shapes of its state.

    Everything but the network is that of the experiment: augmentation, loss, optimizer, compute
    type, moving averages. With `norm_group_size` every device normalises its own images, all of
    them as one group; without it, the global batch. The network has no dropout, pads as TensorFlow
    does and knows the shortcuts between bottlenecks only (`benchmarks.plain_flax`).
    """
    network, mesh = experiment.network, experiment.network.mesh
    dtype = jnp.dtype(config.compute_dtype)
    plain = nnx.eval_shape(lambda: PlainMobileNet(network.architecture, dtype))
    is_local = network.architecture.norm_group_size is not None
    apply, params, batch_stats = split_plain(plain)
    train = _train_function(apply, mesh if is_local else None)
    schedule = make_schedule(config.schedule, experiment.total_steps, experiment.steps_per_epoch)
    optimizer = make_optimizer(config.optimizer, schedule, params, network.module.task_parameters)
    whole, split = meshes.replicated(mesh), meshes.split_over_images(mesh)
    step = jax.jit(
        make_train_step(train, network.task, optimizer, schedule, config),
        in_shardings=(whole, split),
        out_shardings=(whole, whole),
        donate_argnums=0,
    )
    create = functools.partial(
        create_state, optimizer=optimizer, with_ema=config.ema_decay is not None
    )
    return step, jax.eval_shape(create, params, batch_stats)


def _train_function(apply: PlainFunction, mesh: Mesh | None) -> TrainFunction:
    def apply_apart(params: Tree, batch_stats: Tree, images: Array) -> tuple[Array, Tree]:
        logits, batch_stats = apply(params, batch_stats, images)
        return logits, jax.lax.pmean(batch_stats, "data")

    train = apply
    if mesh is not None:
        whole, split = PartitionSpec(), PartitionSpec("data")
        train = jax.shard_map(
            apply_apart, mesh=mesh, in_specs=(whole, whole, split), out_specs=(split, whole)
        )
    return lambda params, batch_stats, images, _key: train(params, batch_stats, images)
