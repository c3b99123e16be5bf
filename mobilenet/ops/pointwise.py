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
    """Multiplies every pixel by `kernel`, which has the type of `x`.

    On CPU as a product of matrices, elsewhere as XLA's own convolution: of the matrices XLA makes
    copies on TPU where batches are split over devices.
    """
    return lax.platform_dependent(x, kernel, cpu=_product, default=_conv)


def _product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return (x.reshape(-1, x.shape[-1]) @ kernel).reshape(*x.shape[:-1], -1)


def _conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    dimensions = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x, kernel[None, None], (1, 1), "VALID", dimension_numbers=dimensions
    )


def _forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return pointwise_conv(x, kernel), (x, kernel)


def _backward(
    residuals: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    def by_product(
        x: jax.Array, kernel: jax.Array, gradient: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        # Without the barrier XLA fuses whatever made these into transposed copies of them.
        x, gradient = lax.optimization_barrier((x, gradient))
        pixels = gradient.reshape(-1, gradient.shape[-1])
        by_kernel = multiply_over_pixels(x.reshape(-1, x.shape[-1]), pixels)
        return (pixels @ kernel.T).reshape(x.shape), by_kernel

    def by_conv(
        x: jax.Array, kernel: jax.Array, gradient: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        return jax.vjp(_conv, x, kernel)[1](gradient)

    return lax.platform_dependent(*residuals, gradient, cpu=by_product, default=by_conv)


def multiply_over_pixels(a: Float[Array, "p c"], b: Float[Array, "p d"]) -> Float[Array, "c d"]:
    """Returns a.T @ b. With the narrower factor first a CPU needs up to half the time less."""
    over_pixels = (((0,), (0,)), ((), ()))
    if a.shape[1] > b.shape[1]:
        return lax.dot_general(b, a, over_pixels).T
    return lax.dot_general(a, b, over_pixels)


pointwise_conv.defvjp(_forward, _backward)
