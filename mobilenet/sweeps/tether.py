"""Starts a command whose life is tied to that of the process that started it.

A run that outlived its launcher would go on unseen, and a retry elsewhere would meet it in its run
directory. On Linux the kernel sends the command a signal when its parent dies, even by SIGKILL;
elsewhere the command is started without that. Prefer `start_tethered` to calling this module.
"""

import ctypes
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Collection, Sequence

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def start_tethered(
    command: Sequence[str],
    log: pathlib.Path,
    *,
    death_signal: signal.Signals,
    cpus: Collection[int] | None = None,
) -> subprocess.Popen[bytes]:
    """Starts a command that gets `death_signal` when this thread ends, however it ends.

    Args:
      command: program and arguments.
      log: the file that standard output and error are appended to.
      death_signal: SIGTERM lets a run save first, SIGKILL leaves nothing to wait for.
      cpus: the processors that the command is bound to; None leaves those of this process.
    """
    wrapped = [
        sys.executable,
        "-m",
        "mobilenet.sweeps.tether",
        str(os.getpid()),
        str(int(death_signal)),
        ",".join(map(str, sorted(cpus or ()))),
        *command,
    ]
    with log.open("ab") as output:
        return subprocess.Popen(
            wrapped,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C in a terminal reaches the launcher alone, which then ends its runs in order.
            start_new_session=True,
        )


def _main(parent: int, death_signal: int, cpus: list[int], command: list[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:
            sys.exit("error: the launcher ended before the run began.")
        if cpus:
            os.sched_setaffinity(0, cpus)
    os.execvp(command[0], command)


if __name__ == "__main__":
    _main(
        parent=int(sys.argv[1]),
        death_signal=int(sys.argv[2]),
        cpus=[int(cpu) for cpu in sys.argv[3].split(",") if cpu],
        command=sys.argv[4:],
    )
