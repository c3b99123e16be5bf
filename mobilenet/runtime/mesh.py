"""One mesh axis, `data`: parameters are replicated, batches are split over all devices."""

from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from mobilenet.errors import ConfigError


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Returns a mesh over devices, by default all devices of all hosts, host after host."""
    # By number alone, as by `jax.make_mesh`, those of a TPU slice follow the places of the chips: a
    # host would hold rows here and there of the global batch.
    devices = sorted(devices or jax.devices(), key=lambda device: (device.process_index, device.id))
    # Explicit axes, JAX's default, would put shardings into the types of the step.
    return Mesh(np.array(devices), ("data",), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec())


def split_over_images(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec("data"))


def to_devices(batch: PyTree[np.ndarray], mesh: Mesh) -> PyTree[jax.Array]:
    """Makes one global batch of the parts that the hosts hold, in the order of the hosts."""
    sharding = split_over_images(mesh)
    # Meant to be sent, also where the loop forbids what is not.
    with jax.transfer_guard_host_to_device("allow"):
        return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), batch)


def check_batch_size(
    mesh: Mesh,
    batch_size: int,
    *,
    accumulation_steps: int,
    norm_group_size: int | None,
) -> None:
    """Checks that every device gets equal parts of every training batch.

    Raises:
      ConfigError: a size that does not divide, by its key.
    """
    devices = mesh.size
    if accumulation_steps < 1:
        raise ConfigError(
            f"config.optimizer.accumulation_steps must be at least 1, not {accumulation_steps}."
        )
    parts = devices * accumulation_steps
    if batch_size < 1 or batch_size % parts:
        raise ConfigError(
            f"config.batch_size={batch_size} must be a multiple of {parts}: "
            f"{_count(mesh)} times {accumulation_steps} accumulation steps."
        )
    # A group on two devices would need communication in every layer.
    if norm_group_size and (batch_size // parts) % norm_group_size:
        raise ConfigError(
            f"config.model.norm_group_size={norm_group_size} must divide the "
            f"{batch_size // parts} images that a device holds at a time."
        )


def check_eval_batch_size(mesh: Mesh, batch_size: int) -> None:
    """Raises ConfigError unless every device gets equal parts of every evaluation batch."""
    if batch_size < 1 or batch_size % mesh.size:
        raise ConfigError(
            f"config.evaluation.batch_size={batch_size} must be a multiple of the {_count(mesh)}."
        )


def _count(mesh: Mesh) -> str:
    hosts = len({device.process_index for device in mesh.devices.flat})
    return f"{mesh.size} devices" + (f" of {hosts} hosts" if hosts > 1 else "")
