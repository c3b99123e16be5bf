"""Runs a sweep on a Ray cluster, or on a Ray of this machine alone that ends with the sweep.

All nodes see this checkout, its Python environment, the datasets and the run directories at the
same paths, on a file system that they share. Nodes may come and go: a run that lost its machine
goes on from its checkpoint on another.
"""

import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mobilenet.errors import UserError
from mobilenet.runtime.signals import stop_requested
from mobilenet.sweeps import attempts
from mobilenet.sweeps.display import Display
from mobilenet.sweeps.local import outcome
from mobilenet.sweeps.ray_cluster import check_resources, connected
from mobilenet.sweeps.ray_task import Preempted, run_attempt
from mobilenet.sweeps.status import Status, read_status
from mobilenet.sweeps.sweep import PlannedRun, Sweep

_POLL_SECONDS = 0.5


def launch_ray(
    sweep: Sweep,
    program: Sequence[str],
    *,
    address: str | None,
    resources: Mapping[str, float],
    retries: int,
    display: Display | None = None,
) -> list[Status]:
    """Runs what is not complete yet, and returns how every run of the sweep ended.

    A run that fails does not stop the others. One whose node or worker is lost, or that is
    preempted, starts again from its checkpoint; attempts.jsonl says so. SIGINT or SIGTERM ends the
    sweep: no run is started any more, and those that run save their step first.

    Args:
      sweep: the runs, which are recorded already.
      program: the command of train.py without flags.
      address: host:port of the head of a cluster, or `auto` for that of this machine; None starts
        Ray on this machine, reachable from nowhere else.
      resources: what one run needs, as Ray calls it: CPU, GPU, TPU.
      retries: new starts of a run.
      display: shows the statuses meanwhile.

    Raises:
      UserError: Ray is absent, does not answer, or has no node with these resources.
    """
    with connected(address) as ray:
        check_resources(ray.nodes(), resources)
        return _Launch(ray, sweep, program, resources, retries).run(display or Display())


class _Launch:
    def __init__(
        self,
        ray: Any,
        sweep: Sweep,
        program: Sequence[str],
        resources: Mapping[str, float],
        retries: int,
    ):
        self._ray = ray
        self._workdir = sweep.workdir
        self._program = program
        self._resources = resources
        self._retries = retries
        self._missing = [run for run in sweep.runs if not run.is_complete()]
        self._before: dict[str, attempts.Attempt] = {}  # the last ones of earlier launches
        self._statuses: dict[str, Status] = {}
        for run in sweep.runs:
            state = "complete" if run.is_complete() else "waiting"
            self._statuses[run.name] = read_status(run.name, run.directory, state)

    def run(self, display: Display) -> list[Status]:
        (self._workdir / "logs").mkdir(exist_ok=True)
        for attempt in attempts.latest(self._workdir).values():
            attempts.close(self._workdir, attempt, attempts.LAUNCHER_LOST)
        self._before = attempts.latest(self._workdir)
        with stop_requested() as stop, display:
            pending = self._submit()
            asked = False
            while pending:
                if stop() and not asked:
                    asked = True
                    for task in pending:
                        self._ray.cancel(task)
                tasks = list(pending)
                done, _ = self._ray.wait(tasks, num_returns=len(tasks), timeout=_POLL_SECONDS)
                for task in done:
                    run = pending.pop(task)
                    state, message = self._end(run, task, asked)
                    self._statuses[run.name] = read_status(run.name, run.directory, state, message)
                self._follow(pending.values())
                display.update(list(self._statuses.values()))
        return list(self._statuses.values())

    def _submit(self) -> dict[Any, PlannedRun]:
        """Starts a task for every missing run; Ray runs as many at a time as fit."""
        tpu = self._resources["TPU"]
        try:
            task = self._ray.remote(run_attempt).options(
                num_cpus=self._resources["CPU"],
                num_gpus=self._resources["GPU"],
                resources={"TPU": tpu} if tpu else {},
                max_retries=self._retries,
                retry_exceptions=[Preempted],
                scheduling_strategy="SPREAD",
            )
        except ValueError as error:
            raise UserError(f"Ray cannot give a run these resources: {error}") from error
        return {
            task.remote(
                self._workdir.resolve(),
                run.name,
                run.directory.resolve(),
                [*self._program, *run.flags],
                self._log(run).resolve(),
                pathlib.Path.cwd(),
            ): run
            for run in self._missing
        }

    def _follow(self, runs: Iterable[PlannedRun]) -> None:
        """Reads how far the runs are that have not ended."""
        last = attempts.latest(self._workdir)
        for run in runs:
            is_running = run.name in last and last[run.name].state == "running"
            state = "running" if is_running else "waiting"
            if is_running or self._statuses[run.name].state != state:
                self._statuses[run.name] = read_status(run.name, run.directory, state)

    def _end(self, run: PlannedRun, task: Any, asked: bool) -> tuple[str, str]:
        """Returns the state of a run whose task has ended for good, and why it failed."""
        errors = self._ray.exceptions
        last = attempts.latest(self._workdir).get(run.name)
        try:
            return outcome(self._ray.get(task), self._log(run))
        except errors.TaskCancelledError:
            # One that was not begun waits for the next launch.
            return "waiting" if last == self._before.get(run.name) else "stopped", ""
        except Preempted:
            return "stopped", "" if asked else "preempted, and no retry is left"
        except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError):
            if last:
                attempts.close(self._workdir, last, attempts.NODE_LOST)
            return "failed", f"{attempts.NODE_LOST}, and no retry is left"
        except errors.RayError as error:
            return "failed", str(error).strip().splitlines()[-1]

    def _log(self, run: PlannedRun) -> pathlib.Path:
        return self._workdir / "logs" / f"{run.name}.log"
