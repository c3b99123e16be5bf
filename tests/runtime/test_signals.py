"""Signals ask for the end once; real ones end train.py with a saved step and status 143."""

import signal

import pytest

from mobilenet.runs.metrics_file import read_metrics
from mobilenet.runtime.signals import stop_requested
from tests.helpers.waiting import wait_until

_SIGNALS = [signal.SIGTERM, signal.SIGINT]

# Signals are raised in this thread: os.kill may reach another one of JAX's, and then Python's
# handler runs a little later.


@pytest.mark.parametrize("number", _SIGNALS)
def test_a_signal_is_remembered(number):
    before = [signal.getsignal(each) for each in _SIGNALS]
    with stop_requested() as stop:
        assert not stop()
        signal.raise_signal(number)
        assert stop()
        # An impatient user is not ignored: the next signal has its usual effect.
        assert [signal.getsignal(each) for each in _SIGNALS] == before
    assert [signal.getsignal(each) for each in _SIGNALS] == before


def test_a_second_interrupt_interrupts():
    with stop_requested():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_handlers_come_back_after_an_error():
    before = [signal.getsignal(each) for each in _SIGNALS]
    with pytest.raises(ZeroDivisionError), stop_requested():
        raise ZeroDivisionError
    assert [signal.getsignal(each) for each in _SIGNALS] == before


# test_resume.py has an interrupt, too.
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_train_saves_and_exits_143(number, start_tiny_training, tmp_path):
    # Longer than any test runs, so that the signal cannot come too late.
    process = start_tiny_training(
        tmp_path,
        "--config.total_steps=1000000",
        "--config.evaluation.every_steps=None",
        "--config.checkpoint.every_steps=500000",
        "--config.log.every_steps=5",
    )
    wait_until(lambda: len(read_metrics(tmp_path)) >= 3, process, seconds=300)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (143, ""), errors
    assert "Traceback" not in errors
    (saved,) = (path.name for path in (tmp_path / "checkpoints").iterdir())
    assert int(saved) > 10
    assert errors.splitlines()[-1] == (
        f"Stopped by a signal. Step {int(saved):,} of 1,000,000 is saved in {tmp_path}: "
        "the same command goes on from there."
    )
