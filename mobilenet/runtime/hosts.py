"""Training on several hosts: how their processes meet, and how they part when one is lost.

JAX's coordination service ends a process by SIGABRT (status 134 in a shell) when another one of the
run was killed, failed or cannot be reached, or did not come to meet. What starts the processes
takes that status as a lost host, and starts all of them again.
"""

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from typing import NoReturn

import jax
from absl import flags

from mobilenet.errors import UserError

# How long a process waits for the others: machines of one job do not start at the same moment.
_MEETING_SECONDS = 300
_PATIENCE_SECONDS = 10
# After so long without a sign of life a process counts as lost (JAX: 100).
_HEARTBEAT_SECONDS = 30
# From then until the service has told the others.
_NEWS_SECONDS = 10
_LOCAL = ("localhost", "127.0.0.1")

_DISTRIBUTED = flags.DEFINE_enum(
    "distributed",
    "auto",
    ["auto", "off"],
    "auto: together with the processes that the next three flags describe, or that JAX finds: the "
    "hosts of a TPU slice, the tasks of a Slurm step, of Open MPI, of a job of Kubernetes; off: "
    "this process alone.",
)
_ADDRESS = flags.DEFINE_string("coordinator_address", None, "host:port of process 0.")
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "How many processes: one a host.")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "Which of them this is, from 0.")


@contextlib.contextmanager
def joined_hosts() -> Iterator[None]:
    """Joins the other processes that the flags and the environment tell of; none is no error.

    To be entered before anything asks JAX for its devices. If there are other processes, an error
    inside the block ends this one with status 1, without waiting for those who would wait in turn
    for what it should have sent: a UserError at once, with its sentence; another error with its
    traceback, and once it is sure that it is not the loss of another process, which has the status
    of SIGABRT.

    Raises:
      UserError: the flags cannot work, or the processes cannot meet.
    """
    if not _meet() or jax.process_count() == 1:
        yield
        return
    try:
        _check_devices()
        yield
        jax.distributed.shutdown()
    except KeyboardInterrupt:
        _end("", 128 + signal.SIGINT)
    except UserError as error:
        _end(f"error: {error}", 1)
    except Exception:
        traceback.print_exc()
        _await_news_of_loss()
        _end("", 1)


def _meet() -> bool:
    """Returns whether there is anybody to meet."""
    given = (_ADDRESS.value, _NUM_PROCESSES.value, _PROCESS_ID.value)
    is_given = any(part is not None for part in given)
    if _DISTRIBUTED.value == "off":
        if is_given:
            raise UserError(
                "--distributed=off trains alone: leave out --coordinator_address, --num_processes "
                "and --process_id."
            )
        return False
    if _ADDRESS.value is not None:
        _check_address(_ADDRESS.value, listens=_PROCESS_ID.value == 0)
    # Our own handlers take its place: see mobilenet.runtime.agreement.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        with _patience():
            jax.distributed.initialize(
                *given,
                # Where nothing is left to find, finding a Slurm step would leave a process one GPU.
                cluster_detection_method=None if None in given else "deactivate",
                initialization_timeout=_MEETING_SECONDS,
                heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
                # Else JAX listens on all interfaces.
                coordinator_bind_address=_ADDRESS.value if _is_local(_ADDRESS.value) else None,
            )
    except Exception as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        # What JAX says where it finds no cluster.
        if not is_given and reason == "coordinator_address should be defined":
            return False
        raise UserError(
            f"Cannot meet the other processes ({reason}): give --coordinator_address (host:port of "
            "process 0, the same everywhere), --num_processes and --process_id (from 0), or train "
            "on this host alone with --distributed=off."
        ) from error
    return True


def _is_local(address: str | None) -> bool:
    return (address or "").rpartition(":")[0] in _LOCAL


def _check_address(address: str, *, listens: bool) -> None:
    """Checks what JAX may answer with a segmentation fault: no port, or one that is in use.

    Raises:
      UserError: it is so.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(
            f"--coordinator_address={address} has no port: give host:port, such as 10.0.0.1:61440."
        )
    try:
        if listens:
            socket.create_server((host if _is_local(address) else "", int(port))).close()
    except OSError as error:
        raise UserError(
            f"Process 0 cannot listen at port {port} ({os.strerror(error.errno or 0)}): choose "
            "another in --coordinator_address."
        ) from error


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """Says after a while for whom the block waits."""
    words = (
        f"Waiting for the other processes, at most {_MEETING_SECONDS} s (--distributed=off trains "
        "without them)."
    )
    waiting = threading.Timer(_PATIENCE_SECONDS, print, (words,), {"file": sys.stderr})
    waiting.daemon = True
    waiting.start()
    try:
        yield
    finally:
        waiting.cancel()


def _check_devices() -> None:
    devices = Counter(device.process_index for device in jax.devices())
    if len(set(devices.values())) > 1:
        raise UserError(
            "Every process must have as many devices as the others, and "
            f"{', '.join(f'process {index} has {devices[index]}' for index in sorted(devices))}: "
            "start them on hosts of one kind."
        )


def _await_news_of_loss() -> None:
    """Returns if no process is lost; else JAX ends this one meanwhile.

    A collective that fails raises any error, at once; only the service knows why.
    """
    _kill_readers()
    seconds = _HEARTBEAT_SECONDS + _NEWS_SECONDS
    print(
        f"If another process was lost, this one is aborted within {seconds} s: start all of them "
        "again, and they go on from the last complete checkpoint.",
        file=sys.stderr,
        flush=True,
    )
    time.sleep(seconds)


def _end(words: str, status: int) -> NoReturn:
    """Ends this process without its clean-up, in which JAX would wait for all processes."""
    if words:
        print(words, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    _kill_readers()
    os._exit(status)


def _kill_readers() -> None:
    for child in multiprocessing.active_children():  # those that read the data
        child.kill()
