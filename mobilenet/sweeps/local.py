"""Runs a sweep on this machine, one run after the other or a few side by side."""

import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import NamedTuple

from mobilenet.errors import UserError
from mobilenet.runtime.signals import STOPPED, stop_requested
from mobilenet.sweeps.display import Display
from mobilenet.sweeps.status import Status, first_statuses, last_error_line, read_status
from mobilenet.sweeps.sweep import PlannedRun, Sweep
from mobilenet.sweeps.tether import start_tethered

_POLL_SECONDS = 0.5


def launch_local(sweep: Sweep, program: Sequence[str], *, jobs: int = 1) -> list[Status]:
    """Runs what is not complete yet, and returns how every run of the sweep ended.

    A run that fails does not stop the others. SIGINT or SIGTERM ends the sweep: no run is started
    any more, and those that run save their step first. Runs side by side share the processors of
    this process evenly, each bound to its own.

    Args:
      sweep: the runs, which are recorded already.
      program: the command of train.py without flags.
      jobs: runs side by side.

    Raises:
      UserError: there are fewer processors than jobs.
    """
    shares = _share_processors(jobs)
    (sweep.workdir / "logs").mkdir(exist_ok=True)
    statuses = first_statuses(sweep.runs)
    waiting = [run for run in sweep.runs if not run.is_complete()]
    running: dict[int, _Started] = {}
    asked = False
    with stop_requested() as stop, Display() as display:
        while running or (waiting and not stop()):
            for slot, cpus in enumerate(shares):
                if slot not in running and waiting and not stop():
                    running[slot] = _start(waiting.pop(0), program, cpus)
            if stop() and not asked:
                asked = True
                for started in running.values():
                    started.process.send_signal(signal.SIGTERM)
            for slot, (run, process, offset) in list(running.items()):
                state, message = "running", ""
                if process.poll() is not None:
                    del running[slot]
                    state, message = outcome(
                        process.returncode, run.log, offset=offset, asked=asked
                    )
                statuses[run.name] = read_status(run, state, message)
            display.update(list(statuses.values()))
            time.sleep(_POLL_SECONDS if running else 0)
        display.update(list(statuses.values()))
    return list(statuses.values())


class _Started(NamedTuple):
    run: PlannedRun
    process: subprocess.Popen[bytes]
    offset: int  # where in its log this start of the run begins


def _start(run: PlannedRun, program: Sequence[str], cpus: set[int] | None) -> _Started:
    offset = run.log_size()
    command = [*program, *run.flags]
    process = start_tethered(command, run.log, death_signal=signal.SIGTERM, cpus=cpus)
    return _Started(run, process, offset)


def outcome(
    exit_status: int, log: pathlib.Path, *, offset: int = 0, asked: bool = False
) -> tuple[str, str]:
    """Returns the state that an ended run is in, and why it failed.

    Args:
      exit_status: as `subprocess` gives it, negative for a signal.
      log: what the run wrote, from `offset` on.
      offset: bytes of the log that were there when the run began.
      asked: whether the run was sent SIGTERM, which ends one that was just starting.
    """
    if exit_status == 0:
        return "complete", ""
    if exit_status == STOPPED or (asked and exit_status == -signal.SIGTERM):
        return "stopped", ""
    if exit_status < 0:
        return "failed", f"ended by {signal.Signals(-exit_status).name}"
    return "failed", last_error_line(log, offset)


def _share_processors(jobs: int) -> list[set[int] | None]:
    if jobs == 1 or not hasattr(os, "sched_getaffinity"):
        return [None] * jobs
    available = sorted(os.sched_getaffinity(0))
    if jobs > len(available):
        raise UserError(f"--jobs={jobs}: this process has {len(available)} processors.")
    return [set(available[job::jobs]) for job in range(jobs)]
