"""From a config and its data to everything that a run needs: one place for training and eval."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from jax.sharding import Mesh

from mobilenet.data.datasets import Split
from mobilenet.errors import ConfigError, UserError
from mobilenet.networks.architecture import Architecture
from mobilenet.networks.functional import Functions, split_model
from mobilenet.networks.models import MobileNet, create_architecture
from mobilenet.runs.state import TrainState, create_state
from mobilenet.runtime import mesh as meshes
from mobilenet.training.ema import check_ema_decay
from mobilenet.training.initial_weights import load_initial_weights
from mobilenet.training.lengths import resolve_steps
from mobilenet.training.optimizer import make_optimizer
from mobilenet.training.schedule import make_schedule
from mobilenet.training.step import EvalStep, TrainStep, make_eval_step, make_train_step


@dataclasses.dataclass(frozen=True)
class Network:
    """A network as a config describes it, with the weights still to come."""

    architecture: Architecture
    module: MobileNet
    functions: Functions
    mesh: Mesh
    eval_step: EvalStep  # compiled for the mesh

    def abstract_weights(self, *, with_ema: bool) -> dict[str, Any]:
        """Returns the shapes of the weights that a checkpoint of this network holds."""
        _, params, batch_stats = split_model(self.module)
        ema = (params, batch_stats) if with_ema else None
        return {"params": params, "batch_stats": batch_stats, "ema": ema}


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
    make_state: Callable[[], TrainState]

    @functools.cached_property
    def initial_state(self) -> TrainState:
        """The state before the first step, on the mesh; a resumed run does without it."""
        return self.make_state()

    def is_eval_step(self, step: int) -> bool:
        return step == self.total_steps or step % self.eval_steps == 0

    def is_checkpoint_step(self, step: int) -> bool:
        # The best checkpoint can only be one of those that were evaluated.
        return self.is_eval_step(step) or step % self.checkpoint_steps == 0


def build_network(
    config: ml_collections.ConfigDict,
    num_classes: int,
    *,
    with_predictions: bool = False,
    mesh: Mesh | None = None,
) -> Network:
    """Builds the network of `config.model` for a number of classes.

    Args:
      config: of the run.
      num_classes: of the data.
      with_predictions: whether the evaluation step also gives the class of every image.
      mesh: of the devices to compile for; by default all there are.

    Raises:
      ConfigError: a key with a value that cannot work.
    """
    model = config.model
    knobs = {key: value for key, value in model.items() if key != "name" and value is not None}
    try:
        architecture = create_architecture(model.name, num_classes=num_classes, **knobs)
    except UserError as error:
        raise ConfigError(f"config.model: {error}") from error
    if config.compute_dtype not in ("float32", "bfloat16"):
        raise ConfigError(
            f"config.compute_dtype must be float32 or bfloat16, not {config.compute_dtype!r}."
        )
    mesh = mesh or meshes.make_mesh()
    module = MobileNet(
        architecture,
        jnp.dtype(config.compute_dtype),
        fused_expansions=config.fused_expansions,
    )
    in_groups = architecture.norm_group_size is not None and mesh.size > 1
    functions, _, _ = split_model(module, mesh if in_groups else None)
    whole, split = meshes.replicated(mesh), meshes.split_over_images(mesh)
    eval_step = jax.jit(
        make_eval_step(functions, config, with_predictions=with_predictions),
        in_shardings=(whole, whole, split),
        out_shardings=whole,
    )
    return Network(architecture, module, functions, mesh, eval_step)


def build_experiment(
    config: ml_collections.ConfigDict, train_split: Split, mesh: Mesh | None = None
) -> Experiment:
    """Builds a run of a config on a training split.

    Nothing is computed before `initial_state` is asked for, so the devices of the mesh need not
    exist.

    Args:
      config: of the run.
      train_split: what it trains on.
      mesh: of the devices to compile for; by default all there are.

    Raises:
      ConfigError: a key with a value that cannot work.
    """
    network = build_network(config, train_split.num_classes, mesh=mesh)
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
    if not 0 <= config.label_smoothing < 1:
        raise ConfigError(
            f"config.label_smoothing must be at least 0 and below 1, not {config.label_smoothing}."
        )
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

    schedule = make_schedule(config.schedule, total_steps, steps_per_epoch)
    _, *shapes = split_model(network.module)
    optimizer = make_optimizer(config.optimizer, schedule, shapes[0])
    whole, split = meshes.replicated(mesh), meshes.split_over_images(mesh)
    create = functools.partial(
        create_state, optimizer=optimizer, with_ema=config.ema_decay is not None
    )

    def make_state() -> TrainState:
        weights = load_initial_weights(config, network.module)
        return jax.jit(create, out_shardings=whole)(*weights)

    train_step = jax.jit(
        make_train_step(network.functions, optimizer, schedule, config),
        in_shardings=(whole, split),
        out_shardings=(whole, whole),
        donate_argnums=0,
    )
    return Experiment(
        network=network,
        total_steps=total_steps,
        steps_per_epoch=steps_per_epoch,
        eval_steps=eval_steps,
        checkpoint_steps=checkpoint_steps or eval_steps,
        train_step=train_step,
        abstract_state=jax.eval_shape(create, *shapes),
        make_state=make_state,
    )


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
