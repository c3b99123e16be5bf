"""The training step of a config with a plain Flax network, to compare compiled programs with."""

import dataclasses

import jax
import jax.numpy as jnp
import ml_collections
from flax import nnx
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array

from benchmarks.plain_flax import PlainFunction, PlainMobileNet, split_plain
from mobilenet.networks.functional import TrainFunction, Tree
from mobilenet.runs.state import TrainState
from mobilenet.training.experiment import Experiment, compile_training
from mobilenet.training.step import TrainStep


def build_plain_step(
    config: ml_collections.ConfigDict, experiment: Experiment
) -> tuple[TrainStep, TrainState]:
    """Returns the step, and the shapes of its state.

    Everything but the network is that of the experiment: augmentation, loss, optimizer, compute
    type, moving averages. With `norm_group_size` every device normalises its own images, all of
    them as one group; without it, the global batch. The network has no dropout, pads as TensorFlow
    does and knows the shortcuts between bottlenecks only (`benchmarks.plain_flax`).
    """
    network = experiment.network
    dtype = jnp.dtype(config.compute_dtype)
    plain = nnx.eval_shape(lambda: PlainMobileNet(network.architecture, dtype))
    is_local = network.architecture.norm_group_size is not None
    apply, params, batch_stats = split_plain(plain)
    train = _train_function(apply, network.mesh if is_local else None)
    functions = network.functions._replace(train=train)
    other = dataclasses.replace(
        network, functions=functions, params=params, batch_stats=batch_stats
    )
    lengths = (experiment.total_steps, experiment.steps_per_epoch)
    step, make_state = compile_training(config, other, *lengths)
    return step, jax.eval_shape(make_state, params, batch_stats)


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
