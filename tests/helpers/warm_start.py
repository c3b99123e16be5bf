"""Starts scripts in processes that have done the imports, which take a new one two seconds.

They are forks of one process that imports once and does not start JAX. Apart from that they live as
others do: their flags, signals, files and exit statuses are their own. What a test says about the
start itself, such as huge pages or what is imported, needs a new process.
"""

import atexit
import multiprocessing
import os
import pathlib
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping

_CONTEXT = multiprocessing.get_context("forkserver")
# JAX reads these when it is imported.
_SETTINGS = {
    "JAX_COMPILATION_CACHE_DIR": str,
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": float,
}


class WarmProgram:
    """A script that runs, with what tests use of a `subprocess.Popen`."""

    def __init__(
        self,
        script: pathlib.Path,
        *arguments: str,
        environment: Mapping[str, str],
        cwd: pathlib.Path,
    ):
        self.returncode: int | None = None
        self._folder = tempfile.TemporaryDirectory()
        names = [f"{self._folder.name}/{name}" for name in ("output", "errors")]
        self._written = [pathlib.Path(name) for name in names]
        _CONTEXT.set_forkserver_preload(["tests.helpers.warm_imports"])
        self._process = _CONTEXT.Process(
            target=_run, args=(str(script), arguments, dict(environment), cwd, names)
        )
        self._process.start()

    def poll(self) -> int | None:
        self.returncode = self._process.exitcode
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Waits for the end and returns output and errors."""
        self._process.join(timeout)
        if self.poll() is None:
            raise subprocess.TimeoutExpired(str(self._process), timeout)
        output, errors = (path.read_text() for path in self._written)
        return output, errors

    def close(self) -> None:
        """Kills what still runs, and forgets what it wrote."""
        self.kill()
        self._process.join()
        self._folder.cleanup()


def _run(
    script: str,
    arguments: tuple[str, ...],
    environment: dict[str, str],
    cwd: pathlib.Path,
    names: list[str],
) -> None:
    for number, name in enumerate(names, start=1):
        os.dup2(os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(environment)
    import jax

    for name, kind in _SETTINGS.items():
        if name in environment:
            jax.config.update(name.lower(), kind(environment[name]))
    os.chdir(cwd)
    sys.argv[:] = [script, *arguments]
    sys.path.insert(0, str(pathlib.Path(script).parent))
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        # multiprocessing ends its processes without them.
        atexit._run_exitfuncs()
