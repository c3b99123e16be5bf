"""From a config and its data to everything that a training run needs."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import ml_collections
from jax.sharding import Mesh

from mobilenet.data.datasets import Split
from mobilenet.errors import ConfigError
from mobilenet.networks.functional import Tree
from mobilenet.networks.models import MobileNet
from mobilenet.runs.state import TrainState, create_state
from mobilenet.runtime import mesh as meshes
from mobilenet.tasks.network import Network, build_network
from mobilenet.training.ema import check_ema_decay
from mobilenet.training.lengths import resolve_steps
from mobilenet.training.optimizer import make_optimizer
from mobilenet.training.schedule import make_schedule
from mobilenet.training.step import TrainStep, make_train_step


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A training run: its lengths in steps, its first state and its compiled step."""

    network: Network
    total_steps: int
    steps_per_epoch: float
    eval_steps: int  # between evaluations
    checkpoint_steps: int  # between checkpoints
    train_step: TrainStep  # compiled for the mesh; consumes the state
    abstract_state: TrainState  # of shapes
    make_state: Callable[[Tree, Tree], TrainState]  # before the first step, on the mesh

    def is_eval_step(self, step: int) -> bool:
        return step == self.total_steps or step % self.eval_steps == 0

    def is_checkpoint_step(self, step: int) -> bool:
        # The best checkpoint can only be one of those that were evaluated.
        return self.is_eval_step(step) or step % self.checkpoint_steps == 0


def build_experiment(
    config: ml_collections.ConfigDict, train_split: Split, mesh: Mesh | None = None
) -> Experiment:
    """Builds a run of a config on a training split.

    Nothing is computed, so the devices of the mesh need not exist.

    Args:
      config: of the run.
      train_split: what it trains on.
      mesh: of the devices to compile for; by default all there are.

    Raises:
      ConfigError: a key with a value that cannot work.
    """
    network = build_network(config, train_split.num_classes, mesh)
    mesh = network.mesh
    meshes.check_eval_batch_size(mesh, config.evaluation.batch_size)
    meshes.check_batch_size(
        mesh,
        config.batch_size,
        accumulation_steps=config.optimizer.accumulation_steps,
        norm_group_size=network.architecture.norm_group_size,
    )
    if config.fused_expansions:
        parts = mesh.size * config.optimizer.accumulation_steps
        _check_fused_expansions(network.module, mesh, config.batch_size // parts)
    check_ema_decay(config.ema_decay)
    for key in ("checkpoint.keep", "log.every_steps"):
        section, name = key.split(".")
        if config[section][name] < 1:
            raise ConfigError(f"config.{key} must be at least 1, not {config[section][name]}.")
    steps_per_epoch = train_split.num_examples / config.batch_size
    resolve = functools.partial(resolve_steps, steps_per_epoch=steps_per_epoch)
    total_steps = resolve(config, "total", within="config")
    if total_steps is None:
        raise ConfigError("The run has no length: set config.total_epochs or config.total_steps.")
    # Without a length, the end of the run is the only occasion.
    eval_steps = resolve(config.evaluation, "every", within="config.evaluation") or total_steps
    checkpoint_steps = resolve(config.checkpoint, "every", within="config.checkpoint")

    train_step, make_state = compile_training(config, network, total_steps, steps_per_epoch)
    return Experiment(
        network=network,
        total_steps=total_steps,
        steps_per_epoch=steps_per_epoch,
        eval_steps=eval_steps,
        checkpoint_steps=checkpoint_steps or eval_steps,
        train_step=train_step,
        abstract_state=jax.eval_shape(make_state, network.params, network.batch_stats),
        make_state=make_state,
    )


def compile_training(
    config: ml_collections.ConfigDict, network: Network, total_steps: int, steps_per_epoch: float
) -> tuple[TrainStep, Callable[[Tree, Tree], TrainState]]:
    """Returns the step, which consumes the state, and what makes the first state of weights."""
    schedule = make_schedule(config.schedule, total_steps, steps_per_epoch)
    optimizer = make_optimizer(
        config.optimizer, schedule, network.params, network.module.task_parameters
    )
    whole, split = meshes.replicated(network.mesh), meshes.split_over_images(network.mesh)
    create = functools.partial(
        create_state, optimizer=optimizer, with_ema=config.ema_decay is not None
    )
    step = jax.jit(
        make_train_step(network.functions.train, network.task, optimizer, schedule, config),
        in_shardings=(whole, split),
        out_shardings=(whole, whole),
        donate_argnums=0,
    )
    return step, jax.jit(create, out_shardings=whole)


def _check_fused_expansions(module: MobileNet, mesh: Mesh, images: int) -> None:
    """Raises ConfigError where a device could not use the kernels for its `images` of a step."""
    architecture, reason = module.architecture, None
    group = architecture.norm_group_size
    if not any(getattr(module, block.name).fused_expansion for block in architecture.blocks):
        reason = f"{architecture.name} has no expansions of four times or more here"
    elif any(block.shortcut == "expansion" for block in architecture.blocks):
        reason = "shortcuts between expansions need them stored"
    elif mesh.devices.flat[0].platform == "gpu":
        reason = "the kernels are those of TPUs"
    elif group != images and (mesh.size > 1 or group is not None):
        reason = (
            "each device must normalise all its images of a step as one group: set "
            f"config.model.norm_group_size={images}"
        )
    if reason is not None:
        raise ConfigError(f"config.fused_expansions=True: {reason}.")
