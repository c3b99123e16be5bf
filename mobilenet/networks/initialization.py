"""First values of parameters and moving statistics, as slim's argument scopes give them.

The scopes of V1 (nets/mobilenet_v1.py `mobilenet_v1_arg_scope`) and V2 (nets/mobilenet/mobilenet.py
`training_scope`) agree, and hold for depthwise kernels and the classifier as well.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

# tf.truncated_normal_initializer(stddev=0.09): cut at two standard deviations, not rescaled.
KERNEL_STDDEV = 0.09

# tf.contrib.layers.batch_norm and slim.conv2d.
CONSTANTS = {"scale": 1.0, "bias": 0.0, "mean": 0.0, "var": 1.0}

Module = TypeVar("Module", bound=nnx.Module)


def initialize(model: Module, seed: int) -> Module:
    """Gives every leaf of `model` its first value, in place, and returns it.

    All kernels are cut from one stream of random numbers: XLA compiles one draw and not fifty.
    """
    leaves = nnx.to_flat_state(nnx.state(model))
    kernels = [leaf.size for path, leaf in leaves if path[-1] == "kernel"]
    stream = jax.random.truncated_normal(jax.random.key(seed), -2, 2, (sum(kernels),))
    pieces = iter(np.split(KERNEL_STDDEV * np.asarray(stream), np.cumsum(kernels)[:-1]))
    for path, leaf in leaves:
        if path[-1] == "kernel":
            value = next(pieces).reshape(leaf.shape)
        else:
            value = np.full(leaf.shape, CONSTANTS[str(path[-1])])
        leaf.set_value(jnp.asarray(value, leaf.dtype))
    nnx.update(model, nnx.from_flat_state(leaves))
    return model
