"""A connection to Ray: to a cluster, or to a Ray of this machine that ends with the program."""

import contextlib
import logging
import os
import pathlib
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mobilenet.errors import UserError

_CONNECT_SECONDS = 10.0
_OBJECT_STORE_BYTES = 80 * 2**20  # about Ray's least; tasks return one number
_ROOT = pathlib.Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[Any]:
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
        options |= {
            "include_dashboard": False,
            "object_store_memory": _OBJECT_STORE_BYTES,
            # Short of memory, the kernel ends a run, as always; Ray would restart it for ever.
            "_system_config": {"memory_monitor_refresh_ms": 0},
        }
    try:
        ray.init("local" if address is None else address, **options)
    except Exception as error:  # Ray raises even this one, such as where it starts too slowly.
        where = "start Ray" if address is None else f"use the Ray cluster at {address}"
        raise UserError(f"Cannot {where}: {' '.join(str(error).split())}") from error
    # Ray has no public way to keep its nodes' troubles off the terminal; attempts.jsonl has them.
    ray._private.worker._worker_logs_enabled = False
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
