"""Mean durations by a clock that only moves when something is done."""

import contextlib
import itertools

import pytest

from benchmarks import timing


class Work:
    """A clock, and steps that take 0.4 seconds on it."""

    def __init__(self):
        self.now = 0.0
        self.steps = 0

    def clock(self) -> float:
        return self.now

    def step(self) -> None:
        self.now += 0.4
        self.steps += 1


@pytest.mark.parametrize(("seconds", "steps"), [(0.0, 1), (0.3, 1), (0.5, 2), (1.1, 3)])
def test_whole_steps_fill_the_seconds(seconds, steps):
    work = Work()
    assert timing.time_steps(work.step, seconds, work.clock) == pytest.approx(0.4)
    assert work.steps == steps


def test_a_step_is_warmed_up_at_first_and_in_every_turn():
    work = Work()

    def step():
        # The two steps after a pause are slow.
        slow = work.steps % 4 < 2
        work.now += 5.0 if slow else 0.4
        work.steps += 1

    turn = timing.repeat_steps(step, work.clock)
    assert work.steps == 2
    work.steps = 0
    for _ in range(3):
        assert turn(0.5) == pytest.approx(0.4)
    assert work.steps == 12


def test_batches_come_from_a_new_stream_that_is_read_before_it_is_timed():
    now, opened, closed = 0.0, 0, 0

    @contextlib.contextmanager
    def open_batches():
        nonlocal now, opened, closed
        opened += 1

        def batches():
            nonlocal now
            # What a buffer holds comes at once; afterwards a batch takes 2 seconds.
            for number in itertools.count():
                now += 0.25 if number < 4 else 2.0
                yield number

        yield batches()
        closed += 1

    timing.draw_batches(open_batches)
    assert (opened, closed) == (1, 1)
    for _ in range(2):
        assert timing.time_batches(open_batches, 1.0, lambda: now) == 2.0
    assert (opened, closed) == (3, 3)
