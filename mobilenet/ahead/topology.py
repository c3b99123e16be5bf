"""TPU slices by name, described by libtpu's compiler; no TPU is needed, or looked for."""

import dataclasses
import importlib.util
import os
from collections.abc import Sequence

import jax
from jax.experimental import topologies

from mobilenet.ahead.chips import CHIPS, Chip
from mobilenet.errors import UserError

# libtpu otherwise asks the network what machine this is, refuses to load beside another process
# that has it, and complains that nothing says which TPU this host is a part of.
_ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
}


@dataclasses.dataclass(frozen=True)
class Slice:
    """The chips that run one program.

    Attributes:
      name: such as `v5e:4x4`.
      chip: what each of them can do.
      devices: descriptions of the chips, which compile and cannot run.
    """

    name: str
    chip: Chip
    devices: Sequence[jax.Device]


def describe_slice(name: str) -> Slice:
    """Returns the slice of a name such as `v5e:4x4` or `v4:2x2x2`.

    JAX computes on CPU from here on, in the whole process: libtpu would look for a TPU.

    Raises:
      UserError: there is no such slice, or libtpu is not installed.
    """
    chip = find_chip(name)
    if not has_libtpu():
        raise UserError(
            "Compiling for TPUs needs libtpu, which is not installed: "
            'pip install -e ".[tpu]" in the folder of this repository.'
        )
    for key, value in _ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    jax.config.update("jax_platforms", "cpu")
    # A host of v5e or v6e that has one chip is the only one that has less than four.
    bounds = {"chips_per_host_bounds": (1, 1, 1)} if name.endswith(":1x1") else {}
    description = topologies.get_topology_desc(
        name, platform="tpu", chip_config_name=chip.layout, **bounds
    )
    return Slice(name, chip, description.devices)


def find_chip(name: str) -> Chip:
    """Returns the chip of a slice's name. Raises UserError if there is no such slice."""
    kind, _, topology = name.partition(":")
    if kind not in CHIPS:
        raise UserError(
            f"--topology={name}: there is no chip {kind!r} here; name one of {', '.join(CHIPS)}, "
            "such as v5e:4x4."
        )
    if topology not in CHIPS[kind].topologies:
        raise UserError(
            f"--topology={name}: {kind} has no slice {topology!r}; it has "
            f"{', '.join(CHIPS[kind].topologies)}."
        )
    return CHIPS[kind]


def has_libtpu() -> bool:
    return importlib.util.find_spec("libtpu") is not None
