"""A run's network on its devices: from a config to the module, its functions and its evaluation."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import ml_collections
from jax.sharding import Mesh

from mobilenet.networks.architecture import Architecture
from mobilenet.networks.functional import EvalFunction, Functions, Tree, split_model
from mobilenet.networks.models import MobileNet
from mobilenet.runtime import mesh as meshes
from mobilenet.tasks.choose import choose_task
from mobilenet.tasks.task import Batch, Sums, Task, count_images

# (params, batch_stats, batch) -> what the batch adds to an evaluation, and its number of `images`
EvalStep = Callable[[Tree, Tree, Batch], Sums]


@dataclasses.dataclass(frozen=True)
class Network:
    """A network as a config describes it, with the weights still to come."""

    task: Task
    module: MobileNet
    functions: Functions
    params: Tree  # shapes
    batch_stats: Tree  # shapes
    mesh: Mesh
    eval_step: EvalStep  # compiled for the mesh

    @property
    def architecture(self) -> Architecture:
        return self.module.architecture

    def abstract_weights(self, *, with_ema: bool) -> dict[str, Any]:
        """Returns the shapes of the weights that a checkpoint of this network holds."""
        ema = (self.params, self.batch_stats) if with_ema else None
        return {"params": self.params, "batch_stats": self.batch_stats, "ema": ema}


def build_network(
    config: ml_collections.ConfigDict, num_classes: int, mesh: Mesh | None = None
) -> Network:
    """Builds the network of a config for the classes of its data.

    Args:
      config: of the run.
      num_classes: of the data.
      mesh: of the devices to compile for; by default all there are.

    Raises:
      ConfigError: a key with a value that cannot work.
    """
    task = choose_task(config)
    module = task.network(config, num_classes)
    mesh = mesh or meshes.make_mesh()
    in_groups = module.architecture.norm_group_size is not None and mesh.size > 1
    functions, params, batch_stats = split_model(module, mesh if in_groups else None)
    whole, split = meshes.replicated(mesh), meshes.split_over_images(mesh)
    eval_step = jax.jit(
        make_eval_step(functions.evaluate, task),
        in_shardings=(whole, whole, split),
        out_shardings=whole,
    )
    return Network(task, module, functions, params, batch_stats, mesh, eval_step)


def make_eval_step(apply: EvalFunction, task: Task) -> EvalStep:
    """Returns the pure function of one batch of an evaluation."""

    def step(params: Tree, batch_stats: Tree, batch: Batch) -> Sums:
        outputs = apply(params, batch_stats, batch["images"])
        # Of the pipeline, before a task leaves images out.
        return {"read": count_images(batch), **task.score(outputs, batch)}

    return step
