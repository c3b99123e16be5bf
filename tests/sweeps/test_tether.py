"""A tethered command dies with its parent, and is bound to its processors."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from mobilenet.sweeps.tether import start_tethered
from tests.helpers.waiting import wait_until

_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children")


@_LINUX
def test_a_command_ends_with_a_parent_that_was_killed(tmp_path):
    log = tmp_path / "log"
    script = tmp_path / "parent.py"
    script.write_text(
        "import pathlib, signal, time\n"
        "from mobilenet.sweeps.tether import start_tethered\n"
        "code = 'import os, time; print(os.getpid(), flush=True); time.sleep(600)'\n"
        f"start_tethered([{sys.executable!r}, '-c', code], pathlib.Path({str(log)!r}),\n"
        "               death_signal=signal.SIGKILL)\n"
        "time.sleep(600)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parents[2])}
    parent = subprocess.Popen([sys.executable, str(script)], env=environment)
    wait_until(lambda: log.exists() and log.read_text().endswith("\n"), parent, seconds=30)
    child = int(log.read_text())
    parent.kill()
    parent.wait()
    wait_until(lambda: not _lives(child), seconds=30)


def _lives(process):
    try:
        status = pathlib.Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@_LINUX
def test_a_command_is_bound_and_its_output_is_kept(tmp_path):
    log = tmp_path / "log"
    log.write_text("before\n")
    cpu = max(os.sched_getaffinity(0))
    code = "import os, sys; print(os.sched_getaffinity(0)); sys.exit(7)"
    command = [sys.executable, "-c", code]
    process = start_tethered(command, log, death_signal=signal.SIGTERM, cpus={cpu})
    assert process.wait() == 7
    assert log.read_text() == f"before\n{{{cpu}}}\n"
