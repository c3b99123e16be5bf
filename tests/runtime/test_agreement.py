"""All processes hear what the first says, and stop at the same call."""

import jax
import numpy as np
import pytest

from mobilenet.runtime.agreement import agreed, from_first, is_first


def test_one_process_agrees_with_itself():
    assert is_first()
    assert from_first({"a": (1, 2)}) == {"a": (1, 2)}

    def asked():
        return True

    assert agreed(asked) is asked


@pytest.fixture
def two_processes(monkeypatch):
    """Lets this process be either of two; what the first broadcasts the second receives."""
    sent = []

    def broadcast(value):
        if jax.process_index() == 0:
            sent.append(np.array(value))
            return value
        received = sent.pop(0)
        # The real one needs the same shape and type in all processes, and sums bytes.
        assert (received.shape, received.dtype) == (np.shape(value), np.asarray(value).dtype)
        return received

    monkeypatch.setattr("jax.process_count", lambda: 2)
    monkeypatch.setattr("jax.experimental.multihost_utils.broadcast_one_to_all", broadcast)
    return lambda index: monkeypatch.setattr("jax.process_index", lambda: index)


@pytest.mark.parametrize("value", [None, 3, "ü", [[4, 0.1], [8, 1e-300]], {"loss": None}])
def test_all_processes_get_what_the_first_passes(two_processes, value):
    two_processes(0)
    assert from_first(value) == value
    two_processes(1)
    assert from_first("something else") == value


def test_a_question_is_answered_as_of_the_call_before_and_then_for_good(monkeypatch):
    # To this process, with eight devices, it makes no difference that there should be another.
    monkeypatch.setattr("jax.process_count", lambda: 2)
    asked = [False, False, True]
    stop = agreed(lambda: asked.pop(0))
    assert [stop() for _ in range(5)] == [False, False, False, True, True]
    assert asked == []
