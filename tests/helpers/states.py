"""States of a step, to save and to compare."""

import jax
import jax.numpy as jnp
import numpy as np

from mobilenet.runs.state import TrainState
from mobilenet.runtime.mesh import make_mesh, replicated


def sharding(devices=1):
    return replicated(make_mesh(jax.devices()[:devices]))


def make_state(step, *, devices=1, size=5, with_ema=True):
    """A state whose every value tells its step; beyond some 1000, values have their own file."""

    def tree(offset):
        return {"layer": {"kernel": jnp.arange(size, dtype=jnp.float32) + offset}}

    state = TrainState(
        step=jnp.asarray(step, jnp.int32),
        params=tree(step),
        batch_stats=tree(step + 0.25),
        opt_state=(tree(step + 0.5), jnp.asarray(step, jnp.int32)),
        ema=(tree(step + 0.75), tree(step + 0.875)) if with_ema else None,
    )
    return jax.device_put(state, sharding(devices))


def weights_of(state):
    return {name: getattr(state, name) for name in ("params", "batch_stats", "ema")}


def assert_equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)
