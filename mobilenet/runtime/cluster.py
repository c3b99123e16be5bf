"""Which processes train together, from flags and from what started this one."""

import dataclasses
import re
from collections.abc import Mapping

from mobilenet.errors import UserError

# Above the ports that Linux gives to outgoing connections (ip_local_port_range: to 60999).
_FIRST_PORT, _PORTS = 61440, 4096
# Set by srun for each of its tasks. A batch script, a shell on an allocation and their children
# have SLURM_NTASKS, too, but nobody there starts this program on the other nodes.
_SLURM_COUNT, _SLURM_NODES = "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NODELIST"
_SLURM_ID, _SLURM_JOB, _SLURM_STEP = "SLURM_PROCID", "SLURM_JOB_ID", "SLURM_STEP_ID"


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Where process 0 listens (host:port), how many processes there are, and which this one is.

    Nothing at all is a TPU slice, which JAX asks for all three.
    """

    coordinator_address: str | None = None
    num_processes: int | None = None
    process_id: int | None = None


def find_cluster(given: Cluster, environment: Mapping[str, str], *, on_tpu: bool) -> Cluster | None:
    """Returns the processes to train with; None if this one is alone.

    What is given comes first, then Slurm's variables, then the TPU.

    Args:
      given: by flags; what is None there may be in the environment.
      environment: such as `os.environ`.
      on_tpu: whether this machine has a TPU.

    Raises:
      UserError: a part is missing or wrong.
    """
    slurm = _slurm_step(environment)
    if given == Cluster() and slurm is None:
        return Cluster() if on_tpu else None
    parts = dataclasses.asdict(slurm or Cluster())
    parts |= {name: value for name, value in dataclasses.asdict(given).items() if value is not None}
    if missing := [f"--{name}" for name, value in parts.items() if value is None]:
        raise UserError(
            f"Several processes need {' and '.join(missing)} as well: --coordinator_address is "
            "host:port of process 0, the same everywhere, and --process_id counts from 0."
        )
    _check(**parts)
    return Cluster(**parts) if parts["num_processes"] != 1 else None


def _check(coordinator_address: str, num_processes: int, process_id: int) -> None:
    if not 0 <= process_id < num_processes:
        raise UserError(
            f"--process_id={process_id} of --num_processes={num_processes}: processes are counted "
            "from 0, and every one has another number."
        )
    if not re.fullmatch(r".+:\d+", coordinator_address):
        raise UserError(
            f"--coordinator_address={coordinator_address} has no port: give host:port, such as "
            "10.0.0.1:61440."
        )


def _slurm_step(environment: Mapping[str, str]) -> Cluster | None:
    """The tasks of a step of several tasks, one of which is this process."""
    names = (_SLURM_COUNT, _SLURM_NODES, _SLURM_ID, _SLURM_JOB, _SLURM_STEP)
    if not all(environment.get(name) for name in names) or environment[_SLURM_COUNT] == "1":
        return None
    # Jobs that share a node, and steps that share a job, are likely to have ports of their own.
    number = int(environment[_SLURM_JOB]) + int(environment[_SLURM_STEP])
    port = _FIRST_PORT + number % _PORTS
    return Cluster(
        coordinator_address=f"{_first_node(environment[_SLURM_NODES])}:{port}",
        num_processes=int(environment[_SLURM_COUNT]),
        process_id=int(environment[_SLURM_ID]),
    )


def _first_node(nodes: str) -> str:
    """`node[07-09,12],other` and the like, as Slurm writes lists: `node07`."""
    return re.sub(r"\[([^\],-]+)[^\]]*\]", r"\1", nodes).split(",")[0]
