"""Seconds per step of something that steps, and per batch of something that gives batches."""

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

Step = Callable[[], object]  # runs one step to its end
OpenBatches = Callable[[], AbstractContextManager[Iterator[Any]]]  # a new, endless stream
Turn = Callable[[float], float]  # measures for so many seconds; returns seconds per step or batch

# The first compiles; the second may compile again, for the layouts that the first left. After a
# pause the first brings memory back that a virtual machine gave to its host in the meantime, which
# can take longer than the step.
_WARM_UP_STEPS = 2


def repeat_steps(step: Step, clock: Callable[[], float] = time.perf_counter) -> Turn:
    """Warms the step up; a turn warms it up again and repeats it, at least once."""

    def turn(seconds: float) -> float:
        _warm_up(step)
        return time_steps(step, seconds, clock)

    _warm_up(step)
    return turn


def _warm_up(step: Step) -> None:
    for _ in range(_WARM_UP_STEPS):
        step()


def draw_batches(open_batches: OpenBatches) -> Turn:
    """Draws one batch, to see that it works; a turn draws from a stream of its own."""
    with open_batches() as batches:
        next(batches)
    return functools.partial(time_batches, open_batches)


def time_steps(step: Step, seconds: float, clock: Callable[[], float] = time.perf_counter) -> float:
    """Returns the mean duration of the steps that fill `seconds`, the last one whole."""
    start, count = clock(), 0
    while True:
        step()
        count += 1
        elapsed = clock() - start
        if elapsed >= seconds:
            return elapsed / count


def time_batches(
    open_batches: OpenBatches, seconds: float, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Returns the mean time between the batches of a stream that runs at its own speed.

    The stream is new, and read for as long before the clock starts: batches that were made while
    another contender was timed would be free, and tf.data settles its buffers in that time.
    """
    with open_batches() as batches:
        time_steps(functools.partial(next, batches), seconds, clock)
        return time_steps(functools.partial(next, batches), seconds, clock)
