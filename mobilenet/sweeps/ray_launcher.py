"""Runs a sweep on a Ray cluster, or on a Ray of this machine alone that ends with the sweep.

All nodes see this checkout, its Python environment, the datasets and the run directories at the
same paths, on a file system that they share. Nodes may come and go: a run that lost its machine
goes on from its checkpoint on another. A run's log has a line for each attempt, with its node.
"""

import contextlib
import logging
import os
import pathlib
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mobilenet.errors import UserError
from mobilenet.runtime.signals import stop_requested
from mobilenet.sweeps.display import Display
from mobilenet.sweeps.local import outcome
from mobilenet.sweeps.ray_task import Preempted, run_attempt
from mobilenet.sweeps.status import Status, first_statuses, read_status
from mobilenet.sweeps.sweep import PlannedRun, Sweep

_POLL_SECONDS = 0.5
_CONNECT_SECONDS = 10.0
_OBJECT_STORE_BYTES = 80 * 2**20  # about Ray's least; tasks return one number
_ROOT = pathlib.Path(__file__).resolve().parents[2]


def launch_ray(
    sweep: Sweep,
    program: Sequence[str],
    *,
    address: str | None,
    resources: Mapping[str, float],
    retries: int,
) -> list[Status]:
    """Runs what is not complete yet, and returns how every run of the sweep ended.

    A run that fails does not stop the others. One whose node or worker is lost, or that is
    preempted, starts again from its checkpoint. SIGINT or SIGTERM ends the sweep: no run is started
    any more, and those that run save their step first.

    Args:
      sweep: the runs, which are recorded already.
      program: the command of train.py without flags.
      address: host:port of the head of a cluster, or `auto` for that of this machine; None starts
        Ray on this machine, reachable from nowhere else.
      resources: what one run needs, as Ray calls it: CPU, GPU, TPU.
      retries: new starts of a run.

    Raises:
      UserError: Ray is absent, does not answer, or has no node with these resources.
    """
    missing = [run for run in sweep.runs if not run.is_complete()]
    statuses = first_statuses(sweep.runs)
    offsets = {run.name: run.log_size() for run in missing}  # in their logs
    asked = False
    with _connected(address) as ray:
        check_resources(ray.nodes(), resources)
        (sweep.workdir / "logs").mkdir(exist_ok=True)
        with stop_requested() as stop, Display() as display:
            pending = _submit(ray, missing, program, resources, retries)
            while pending:
                if stop() and not asked:
                    asked = True
                    for task in pending:
                        ray.cancel(task)
                tasks = list(pending)
                done, _ = ray.wait(tasks, num_returns=len(tasks), timeout=_POLL_SECONDS)
                for task in done:
                    run = pending.pop(task)
                    state, message = _end(ray, task, run, offsets[run.name], asked)
                    statuses[run.name] = read_status(run, state, message)
                for run in pending.values():
                    if run.log_size() > offsets[run.name]:
                        statuses[run.name] = read_status(run, "running")
                display.update(list(statuses.values()))
    return list(statuses.values())


def _submit(
    ray: Any,
    runs: Sequence[PlannedRun],
    program: Sequence[str],
    resources: Mapping[str, float],
    retries: int,
) -> dict[Any, PlannedRun]:
    """Starts a task for every run; Ray runs as many at a time as fit."""
    tpu = resources["TPU"]
    try:
        task = ray.remote(run_attempt).options(
            num_cpus=resources["CPU"],
            num_gpus=resources["GPU"],
            resources={"TPU": tpu} if tpu else {},
            max_retries=retries,
            retry_exceptions=[Preempted],
            scheduling_strategy="SPREAD",
        )
    except ValueError as error:
        raise UserError(f"Ray cannot give a run these resources: {error}") from error
    here = pathlib.Path.cwd()
    return {
        task.remote(run.directory.resolve(), [*program, *run.flags], run.log.resolve(), here): run
        for run in runs
    }


def _end(ray: Any, task: Any, run: PlannedRun, offset: int, asked: bool) -> tuple[str, str]:
    """Returns the state of a run whose task has ended for good, and why it failed."""
    errors = ray.exceptions
    try:
        return outcome(ray.get(task), run.log, offset=offset)
    except errors.TaskCancelledError:
        # One that was not begun waits for the next launch.
        return "stopped" if run.log_size() > offset else "waiting", ""
    except Preempted:
        return "stopped", "" if asked else "preempted, and no retry is left"
    except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError):
        return "failed", "node or worker lost, and no retry is left"
    except errors.RayError as error:
        return "failed", str(error).strip().splitlines()[-1]


@contextlib.contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    """Connects to Ray meanwhile; workers import this checkout and see the variables set for JAX.

    Args:
      address: host:port of the head of a cluster, or `auto` for that of this machine; None starts
        Ray on this machine, reachable from nowhere else.

    Yields:
      The module `ray`, which is imported only here: it is optional, and reads its settings then.

    Raises:
      UserError: Ray is absent, or does not answer or start.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address is None:
        # Despite its name this makes Ray use the loopback address, on Linux too.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        # Short of memory, the kernel ends a run, as always; Ray would restart it for ever.
        os.environ["RAY_memory_monitor_refresh_ms"] = "0"  # noqa: SIM112
    else:
        _check_answers(address)
        # What answers and is no Ray cluster is found out in 40 seconds, not in 13 minutes.
        os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")
    try:
        import ray
    except ImportError as error:
        raise UserError('--launcher=ray needs Ray: pip install -e ".[ray]"') from error
    options: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.CRITICAL,
        "runtime_env": {"env_vars": _environment()},
    }
    if address is None:
        options |= {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
    try:
        ray.init("local" if address is None else address, **options)
    except Exception as error:  # Ray raises even this one, such as where it starts too slowly.
        where = "start Ray" if address is None else f"use the Ray cluster at {address}"
        raise UserError(f"Cannot {where}: {' '.join(str(error).split())}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def check_resources(nodes: Sequence[Mapping[str, Any]], resources: Mapping[str, float]) -> None:
    """Finds a node that a task fits on, without which the task would wait for ever.

    Args:
      nodes: what `ray.nodes()` returns.
      resources: what a task needs, as Ray calls it: CPU, GPU, TPU.

    Raises:
      UserError: no living node has these resources.
    """
    available = [node["Resources"] for node in nodes if node["Alive"]]
    if any(all(node.get(k, 0) >= n for k, n in resources.items()) for node in available):
        return
    asked = ", ".join(f"{n:g} {k}" for k, n in resources.items() if n)
    most = ", ".join(f"{max((n.get(k, 0) for n in available), default=0):g} {k}" for k in resources)
    raise UserError(
        f"A run needs {asked}, and no node of the Ray cluster has that (the most of a node: "
        f"{most}): ask for less with --cpus, --gpus and --tpu."
    )


def _environment() -> dict[str, str]:
    """Returns what the workers' environment needs: this checkout, and what was set for JAX."""
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    jax = {key: value for key, value in os.environ.items() if key.startswith(("JAX_", "XLA_"))}
    return {"PYTHONPATH": os.pathsep.join(paths), **jax}


def _check_answers(address: str) -> None:
    """Ray itself would wait for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise UserError(f"--address={address}: give host:port of the cluster's head, or auto.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except OSError as error:
        raise UserError(
            f"No Ray cluster answers at {address} ({error.strerror or error}): start one there "
            "with `ray start --head`, or leave --address out."
        ) from error
