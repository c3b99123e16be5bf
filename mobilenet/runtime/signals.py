"""SIGTERM and SIGINT ask a run to save and end; preempted machines send the first of them."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

STOPPED = 143  # train.py's exit status after a signal, with everything saved


@contextlib.contextmanager
def stop_requested() -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether a signal has arrived.

    A second signal has its usual effect, so an impatient user is not ignored. Works in the main
    thread only.
    """
    received = False
    previous: dict[int, signal._HANDLER] = {}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal received
        received = True
        restore()

    for number in (signal.SIGTERM, signal.SIGINT):
        # None is a handler that was not set from Python and cannot be set again.
        previous[number] = signal.signal(number, handle) or signal.SIG_DFL
    try:
        yield lambda: received
    finally:
        restore()
