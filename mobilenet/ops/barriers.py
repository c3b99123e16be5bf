"""What keeps XLA's CPU backend from computing a value again in each of its readers.

On an accelerator such a barrier only costs: XLA there computes a normalisation, its mask and its
sums within the convolutions beside them, and a barrier makes it write and read each of them. The
choice is made when a program is lowered, as in `mobilenet.ops.depthwise`.
"""

from typing import TypeVar

from jax import lax

Arrays = TypeVar("Arrays")


def compute_once_on_cpu(arrays: Arrays) -> Arrays:
    """Returns a pytree of arrays, which XLA's CPU backend then computes once each."""
    return lax.platform_dependent(arrays, cpu=lax.optimization_barrier, default=lambda x: x)
