"""Activation functions by name, and where each lets a gradient through."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu6": jax.nn.relu6,
    "relu": jax.nn.relu,
    "linear": lambda x: x,
}


def passes(x: Float[Array, "*shape"], activation: str) -> Bool[Array, "*shape"]:
    """Returns where the derivative at `x` is 1; elsewhere it is 0.

    At the edges of ReLU and ReLU6 it is 0, as in TensorFlow (core/kernels/relu_op_functor.h).
    """
    if activation == "linear":
        return jnp.ones(x.shape, bool)
    above = x > 0
    return above & (x < 6) if activation == "relu6" else above
