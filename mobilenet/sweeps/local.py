"""Runs a sweep on this machine, one run after the other or a few side by side."""

import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Sequence

from mobilenet.errors import UserError
from mobilenet.runtime.signals import stop_requested
from mobilenet.sweeps.display import Display
from mobilenet.sweeps.status import Status, first_statuses, last_error_line, read_status
from mobilenet.sweeps.sweep import PlannedRun, Sweep
from mobilenet.sweeps.tether import start_tethered

STOPPED = 143  # train.py's status after a signal, with everything saved
_POLL_SECONDS = 0.5


def launch_local(
    sweep: Sweep, program: Sequence[str], *, jobs: int = 1, display: Display | None = None
) -> list[Status]:
    """Runs what is not complete yet, and returns how every run of the sweep ended.

    A run that fails does not stop the others. SIGINT or SIGTERM ends the sweep: no run is started
    any more, and those that run save their step first. Runs side by side share the processors of
    this process evenly, each bound to its own.

    Args:
      sweep: the runs, which are recorded already.
      program: the command of train.py without flags.
      jobs: runs side by side.
      display: shows the statuses meanwhile.

    Raises:
      UserError: there are fewer processors than jobs.
    """
    return _Local(sweep, program, jobs, display or Display()).run()


class _Local:
    def __init__(self, sweep: Sweep, program: Sequence[str], jobs: int, display: Display):
        self._sweep = sweep
        self._program = program
        self._display = display
        self._shares = _share_processors(jobs)
        self._asked = False
        self._offsets: dict[str, int] = {}  # where in its log the present start of a run begins
        self._statuses = first_statuses(sweep.runs)

    def run(self) -> list[Status]:
        (self._sweep.workdir / "logs").mkdir(exist_ok=True)
        waiting = [run for run in self._sweep.runs if not run.is_complete()]
        running: dict[int, tuple[PlannedRun, subprocess.Popen[bytes]]] = {}
        with stop_requested() as stop, self._display:
            while running or (waiting and not stop()):
                for slot, cpus in enumerate(self._shares):
                    if slot not in running and waiting and not stop():
                        run = waiting.pop(0)
                        running[slot] = run, self._start(run, cpus)
                if stop() and not self._asked:
                    self._asked = True
                    for _, process in running.values():
                        process.send_signal(signal.SIGTERM)
                for slot, (run, process) in list(running.items()):
                    if process.poll() is not None:
                        del running[slot]
                    self._statuses[run.name] = self._status(run, process)
                self._display.update(self.statuses)
                time.sleep(_POLL_SECONDS if running else 0)
            self._display.update(self.statuses)
        return self.statuses

    @property
    def statuses(self) -> list[Status]:
        return list(self._statuses.values())

    def _start(self, run: PlannedRun, cpus: set[int] | None) -> subprocess.Popen[bytes]:
        self._offsets[run.name] = run.log_size()
        command = [*self._program, *run.flags]
        return start_tethered(command, run.log, death_signal=signal.SIGTERM, cpus=cpus)

    def _status(self, run: PlannedRun, process: subprocess.Popen[bytes]) -> Status:
        state, message = "running", ""
        if process.returncode is not None:
            state, message = outcome(
                process.returncode,
                run.log,
                offset=self._offsets[run.name],
                asked=self._asked,
            )
        return read_status(run, state, message)


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
