"""Trains on several nodes of a Ray cluster, one process on each: python scripts/launch/on_ray.py

For GPUs or CPUs; the hosts of a TPU slice need no Ray (tpu_vm.sh, gke_xpk.sh). When a node is lost,
all processes start again from the last checkpoint, on the nodes that are left or have come. The
checkout, the data and the run directory lie on a file system that all nodes share, at the same
paths. Ctrl-C saves and ends.
"""

import contextlib
import pathlib
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from mobilenet.runtime.signals import stop_requested
from mobilenet.sweeps.ray_cluster import connected
from mobilenet.sweeps.tether import start_tethered

# ---- Edit from here --------------------------------------------------------------------------
ADDRESS = "auto"  # of the cluster's head, host:port; auto: that of this machine
HOSTS = 4
RESOURCES = {"CPU": 64, "GPU": 8}  # of each
CHECKOUT = pathlib.Path("/mnt/shared/mobilenet")
LOGS = pathlib.Path("/mnt/shared/runs/imagenet_v2_logs")  # a file for each process
TRAIN = """
    .venv/bin/python train.py --config=configs/imagenet_v2.py
    --workdir=/mnt/shared/runs/imagenet_v2 --config.data.data_dir=/mnt/shared/tensorflow_datasets
"""
STARTS = 20  # after so many, look at what goes wrong
# ---- to here ---------------------------------------------------------------------------------

_NODES_SECONDS = 600.0
_POLL_SECONDS = 0.5
_ERROR = 1  # train.py's status after an error that would come again


def main() -> int:
    LOGS.mkdir(parents=True, exist_ok=True)
    with connected(ADDRESS) as ray, stop_requested() as stop:
        for start in range(1, STARTS + 1):
            statuses = _train(ray, stop)
            print(f"Start {start} ended with {statuses}; the logs are in {LOGS}.", flush=True)
            if stop():
                return 143
            if set(statuses) == {0}:
                return 0
            if _ERROR in statuses:
                break
    return 1


def _train(ray: Any, stop: Callable[[], bool]) -> list[int | str]:
    """Runs all processes until they end, and returns their statuses, or why there is none."""
    with _nodes(ray) as options:
        meeting = ray.get(ray.remote(_free_address).options(**options(0)).remote())
        tasks = [
            ray.remote(_run_process).options(**options(index)).remote(index, meeting)
            for index in range(HOSTS)
        ]
        left, asked = tasks, False
        while left:
            _, left = ray.wait(left, num_returns=len(left), timeout=_POLL_SECONDS)
            if stop() and not asked:
                asked = True
                for task in left:
                    ray.cancel(task)
        return [_status(ray, task) for task in tasks]


@contextlib.contextmanager
def _nodes(ray: Any) -> Iterator[Callable[[int], dict[str, Any]]]:
    """Holds a node for each process; yields the options of a task for the one of an index."""
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    group = ray.util.placement_group([RESOURCES] * HOSTS, strategy="STRICT_SPREAD")
    try:
        ray.get(group.ready(), timeout=_NODES_SECONDS)
        yield lambda index: {
            "num_cpus": RESOURCES["CPU"],
            "num_gpus": RESOURCES["GPU"],
            "max_retries": 0,
            "scheduling_strategy": PlacementGroupSchedulingStrategy(group, index),
        }
    finally:
        ray.util.remove_placement_group(group)


def _status(ray: Any, task: Any) -> int | str:
    try:
        return ray.get(task)
    except ray.exceptions.RayError as error:
        return type(error).__name__


def _free_address() -> str:
    import ray

    with socket.socket() as server:
        server.bind(("", 0))
        return f"{ray.util.get_node_ip_address()}:{server.getsockname()[1]}"


def _run_process(index: int, meeting: str) -> int:
    """Runs in a worker, which the process does not outlive; returns its exit status."""
    command = [
        *shlex.split(TRAIN),
        f"--coordinator_address={meeting}",
        f"--num_processes={HOSTS}",
        f"--process_id={index}",
    ]
    log = LOGS / f"process_{index}.log"
    with contextlib.chdir(CHECKOUT), stop_requested() as stop:
        process = start_tethered(command, log, death_signal=signal.SIGKILL)
        asked = False
        while process.poll() is None:
            if stop() and not asked:
                asked = True
                process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_SECONDS)
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
