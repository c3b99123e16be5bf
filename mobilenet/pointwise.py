"""1x1 convolution as one matrix product over all pixels, with its own gradient.

On CPU it halves the time of a training step: XLA there takes the kernel's gradient of a 1x1
convolution for a convolution whose window is the whole image.
"""

import jax
from jax import lax
from jaxtyping import Array, Float


@jax.custom_vjp
def pointwise_conv(
    x: Float[Array, "n h w c"], kernel: Float[Array, "c d"]
) -> Float[Array, "n h w d"]:
    """Multiplies every pixel by `kernel`, which has the type of `x`."""
    return (x.reshape(-1, x.shape[-1]) @ kernel).reshape(*x.shape[:-1], -1)


def _forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return pointwise_conv(x, kernel), (x, kernel)


def _backward(
    residuals: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = residuals
    # Without the barrier XLA fuses whatever made these into transposed copies of them.
    x, gradient = lax.optimization_barrier((x, gradient))
    pixels = gradient.reshape(-1, gradient.shape[-1])
    over_pixels = (((0,), (0,)), ((), ()))
    by_kernel = lax.dot_general(x.reshape(-1, x.shape[-1]), pixels, over_pixels)
    return (pixels @ kernel.T).reshape(x.shape), by_kernel


pointwise_conv.defvjp(_forward, _backward)
