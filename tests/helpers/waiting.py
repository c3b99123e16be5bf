"""Waits for what another process does."""

import subprocess
import time
from collections.abc import Callable

from tests.helpers.warm_start import WarmProgram


def wait_until(
    condition: Callable[[], object],
    process: subprocess.Popen | WarmProgram | None = None,
    *,
    seconds: float = 180.0,
) -> None:
    """Fails if it takes too long, or if the process that is to bring it about ends before."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
