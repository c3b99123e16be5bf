"""Training on several hosts: how their processes meet, and how they part when one is lost."""

import contextlib
import ctypes
import multiprocessing
import os
import shlex
import signal
import socket
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Iterator
from typing import NoReturn

import jax
from absl import flags

from mobilenet.errors import UserError
from mobilenet.runtime.cluster import Cluster, find_cluster

# sysexits.h, EX_TEMPFAIL: not finished, start again.
LOST = 75

# How long a process waits for the others: machines of one job do not start at the same moment.
_MEETING_SECONDS = 300
_PATIENCE_SECONDS = 10
# After so long without a sign of life a process counts as lost (JAX: 100). One whose machine lives
# on is missed at once, where its connections are closed.
_HEARTBEAT_SECONDS = 30
# In what JAX raises when another process is lost: its libraries for collectives on CPUs and GPUs,
# and the service by which processes meet and wait for each other.
_SIGNS_OF_LOSS = ("gloo", "nccl", "coordination service", "coordinationservice", "barrier")

_DISTRIBUTED = flags.DEFINE_enum(
    "distributed",
    "auto",
    ["auto", "off"],
    "auto: together with the other hosts of a TPU slice, the other tasks of a Slurm step, or the "
    "processes that the next three flags describe; off: this process alone.",
)
_ADDRESS = flags.DEFINE_string("coordinator_address", None, "host:port of process 0.")
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "How many processes: one a host.")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "Which of them this is, from 0.")


@contextlib.contextmanager
def joined_hosts() -> Iterator[None]:
    """Joins the other processes that the flags and the environment tell of; none is no error.

    To be entered before anything asks JAX for its devices. If there are other processes, whatever
    goes wrong inside the block ends this one at once, without waiting for the others, who would
    wait in turn for what it should have sent: a UserError with its sentence and status 1, another
    error with its traceback and status 1, and the loss of another process with a sentence and the
    status `LOST`.

    Raises:
      UserError: the flags cannot work.
    """
    given = Cluster(_ADDRESS.value, _NUM_PROCESSES.value, _PROCESS_ID.value)
    cluster = None
    if _DISTRIBUTED.value == "auto":
        # JAX sets this itself, where it finds a TPU and its library.
        on_tpu = "tpu" in (jax.config.values["jax_platforms"] or "")
        cluster = find_cluster(given, os.environ, on_tpu=on_tpu)
    elif given != Cluster():
        raise UserError(
            "--distributed=off trains alone: leave out --coordinator_address, --num_processes and "
            "--process_id."
        )
    if cluster is None:
        yield
        return
    with _parting_at_errors():
        _meet(cluster)
        yield
        jax.distributed.shutdown()


@contextlib.contextmanager
def _parting_at_errors() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        _end("", 128 + signal.SIGINT)
    except Exception as error:
        if _tells_of_loss(error):
            _end(f"error: {_lost()}", LOST)
        if isinstance(error, UserError):
            _end(f"error: {error}", 1)
        _end(traceback.format_exc(), 1)


def _meet(cluster: Cluster) -> None:
    if cluster.coordinator_address and cluster.process_id == 0:
        _check_port(cluster.coordinator_address)
    count = cluster.num_processes
    where = f" at {cluster.coordinator_address}" if cluster.coordinator_address else ""
    everybody = "all hosts" if count is None else f"all {count} processes"
    waiting = threading.Timer(
        _PATIENCE_SECONDS,
        lambda: print(
            f"Waiting for {everybody}{where}, at most {_MEETING_SECONDS} s (--distributed=off "
            "trains without the others).",
            file=sys.stderr,
        ),
    )
    waiting.daemon = True
    waiting.start()
    _say_at_abort(
        f"error: Not {everybody} came to meet{where} within {_MEETING_SECONDS} s: start all of "
        "them, check that they can reach that address, or train on this host alone with "
        "--distributed=off."
    )
    # Our own handlers take its place: see mobilenet.runtime.agreement.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            cluster.coordinator_address,
            cluster.num_processes,
            cluster.process_id,
            # What is known needs no detection, which would give each process a single GPU on Slurm.
            cluster_detection_method="deactivate" if where else None,
            initialization_timeout=_MEETING_SECONDS,
            heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
            coordinator_bind_address=_bind_address(cluster.coordinator_address),
        )
    except Exception as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise UserError(
            f"Cannot meet with {everybody}{where} ({reason}): check that the address is that of "
            "process 0 and its port is free, or train on this host alone with --distributed=off."
        ) from error
    finally:
        waiting.cancel()
    _say_at_abort(f"error: {_lost()}")
    devices = Counter(device.process_index for device in jax.devices())
    if len(set(devices.values())) > 1:
        raise UserError(
            "Every process must have as many devices as the others, and "
            f"{', '.join(f'process {index} has {devices[index]}' for index in sorted(devices))}: "
            "start them on hosts of one kind."
        )


def _bind_address(address: str | None) -> str | None:
    """Keeps processes of one machine to themselves; else JAX listens on all its interfaces."""
    host = (address or "").rpartition(":")[0]
    return address if host in ("localhost", "127.0.0.1") else None


def _check_port(address: str) -> None:
    """Process 0 is to listen there: where something else does, JAX may end by a segmentation fault.

    Raises:
      UserError: it cannot.
    """
    host, _, port = (_bind_address(address) or f":{address.rpartition(':')[2]}").rpartition(":")
    try:
        socket.create_server((host, int(port))).close()
    except OSError as error:
        raise UserError(
            f"Process 0 cannot listen at port {port} ({os.strerror(error.errno or 0)}): choose "
            "another in --coordinator_address."
        ) from error


def _lost() -> str:
    command = shlex.join(["python", *sys.argv])
    return (
        f"Process {jax.process_index()} of {jax.process_count()} lost another one, which was "
        "killed, failed (then its own output says why) or cannot be reached: start all of them "
        f"again, and they go on from the last complete checkpoint: {command}"
    )


def _tells_of_loss(error: BaseException | None) -> bool:
    """Whether an error, or what it came from, is that of waiting for a process that is lost."""
    while error is not None:
        text = f"{type(error).__name__}: {error}".lower()
        if any(sign in text for sign in _SIGNS_OF_LOSS):
            return True
        error = error.__cause__ or error.__context__
    return False


def _end(words: str, status: int) -> NoReturn:
    """Ends this process without its clean-up, in which JAX would wait for all processes."""
    if words:
        print(words.rstrip(), file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    for child in multiprocessing.active_children():  # those that read the data
        child.kill()
    os._exit(status)


def _say_at_abort(words: str) -> None:
    """Says what JAX's end of the process means.

    A thread of its C++ part aborts the process when the service behind `jax.distributed` fails or
    tells of a lost process, and no argument of `jax.distributed.initialize` changes that.
    """
    global _on_abort

    @ctypes.CFUNCTYPE(None, ctypes.c_int)
    def end(_number: int) -> None:
        _end(words, LOST)

    library = ctypes.CDLL(None)
    library.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    library.signal.restype = ctypes.c_void_p
    # Python's own `signal.signal` would call us after the abort.
    library.signal(int(signal.SIGABRT), ctypes.cast(end, ctypes.c_void_p))
    _on_abort = end


# The C library holds no reference.
_on_abort: object = None
