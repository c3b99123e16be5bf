"""One attempt of a run, in a worker of Ray.

Imports nothing heavy: a worker that imported JAX would hold memory, and on a TPU the chips.
"""

import contextlib
import fcntl
import os
import pathlib
import signal
import socket
import subprocess
import time
from collections.abc import Sequence

from mobilenet.runtime.signals import STOPPED, stop_requested
from mobilenet.sweeps.tether import start_tethered

STARTED = "Started by Ray on"  # the first words of an attempt in a run's log
_STOPPED = (STOPPED, -signal.SIGTERM)  # train.py after a signal, and before it can handle one
_POLL_SECONDS = 0.2
# A machine that is cut off from Ray, and not dead, may train on for a while.
_LOCK_SECONDS = 60.0


class Preempted(Exception):
    """A run was stopped by a signal that we did not send, with everything saved."""


def run_attempt(
    directory: pathlib.Path,
    command: Sequence[str],
    log: pathlib.Path,
    current_directory: pathlib.Path,
) -> int:
    """Runs a command of train.py until it ends, and returns its exit status.

    Cancelling the task, which Ray does by SIGINT's handler, lets the command save and end. The
    command does not outlive this worker, and so not its node.

    Args:
      directory: of the run.
      command: program and arguments.
      log: the file that the command's output is appended to, after a line that names the node.
      current_directory: where the command runs, for its relative paths.

    Raises:
      Preempted: the command was stopped by a signal; another attempt goes on.
    """
    os.chdir(current_directory)
    # Ray runs tasks in the main thread of a worker, which lives as long as the worker.
    with stop_requested() as stop:
        _wait_until_free(directory)
        with log.open("a") as file:
            file.write(f"{STARTED} {_node()}\n")
        process = start_tethered(command, log, death_signal=signal.SIGKILL)
        asked = False
        while process.poll() is None:
            if stop() and not asked:
                asked = True
                process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_SECONDS)
        if process.returncode in _STOPPED:
            raise Preempted(directory.name)
        return process.returncode


def _wait_until_free(directory: pathlib.Path) -> None:
    """Waits for a process that still has the run; train.py has words for one that stays."""
    end = time.monotonic() + _LOCK_SECONDS
    while (directory / ".lock").exists() and time.monotonic() < end:
        with (directory / ".lock").open("a") as file, contextlib.suppress(OSError):
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(1.0)


def _node() -> str:
    import ray  # an optional group

    return f"{socket.gethostname()} {ray.get_runtime_context().get_node_id()[:8]}"
