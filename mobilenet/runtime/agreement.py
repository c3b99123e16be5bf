"""What the processes of one run must know alike: what the first of them says, and when to stop.

Everything here is called by all processes, in the same order; one process alone agrees with itself.
"""

import json
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from mobilenet.runtime.mesh import make_mesh, replicated, to_devices


def is_first() -> bool:
    """Returns whether this process is the one that writes files and speaks to the user."""
    return jax.process_index() == 0


def from_first(value: Any) -> Any:
    """Returns the value that the first process passes; of the others it is not looked at.

    No process goes on before all have come here. On the way the value is JSON: its tuples become
    lists.
    """
    if jax.process_count() == 1:
        return value
    text = json.dumps(value).encode() if is_first() else b""
    length = int(multihost_utils.broadcast_one_to_all(np.int32(len(text))))
    data = np.frombuffer(text.ljust(length), np.uint8)
    return json.loads(multihost_utils.broadcast_one_to_all(data).tobytes())


def agreed(asked: Callable[[], bool]) -> Callable[[], bool]:
    """Returns a function that says whether `asked` was true in any process, in all at once.

    Each call puts the question, and answers it as of the call before, whose sum over all devices is
    there by now: nobody waits. JAX's own service for this (multihost_utils,
    reached_preemption_sync_point) hears SIGTERM only, and only in training steps, not in an
    evaluation.
    """
    return asked if jax.process_count() == 1 else _Agreement(asked)


class _Agreement:
    def __init__(self, asked: Callable[[], bool]):
        self._asked = asked
        self._mesh = make_mesh()
        self._sum = jax.jit(lambda votes: votes.sum(), out_shardings=replicated(self._mesh))
        self._last: jax.Array | None = None

    def __call__(self) -> bool:
        if self._last is not None and float(self._last) > 0:
            return True
        votes = np.full(jax.local_device_count(), float(self._asked()), np.float32)
        self._last = self._sum(to_devices(votes, self._mesh))
        return False
