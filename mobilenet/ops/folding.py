"""Normalisation folded into the convolution before it.

A normalisation with known statistics is a factor and a shift for each channel. The factor goes into
the kernel, the shift to the activation, and no normalised tensor is ever made. In evaluation the
statistics are known. In training they are for a 1x1 convolution, before it is computed: mean and
variance of a linear function follow from mean and covariance of its input.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mobilenet.ops.activations import ACTIVATIONS, passes
from mobilenet.ops.barriers import compute_once_on_cpu
from mobilenet.ops.normalization import per_group, widen
from mobilenet.ops.pointwise import pointwise_conv


def linear_statistics(
    x: Float[Array, "g n h w c"], kernel: Float[Array, "c d"]
) -> tuple[Float[Array, "g d"], Float[Array, "g d"]]:
    """Returns mean and biased variance over the pixels of each group of `x @ kernel`, in float32.

    The product itself is not computed. An expansion is six times as wide as its input, so this
    reads a sixth of what it would take to measure the product, and so does its gradient.
    """
    pixels = _pixels(x)
    mean = widen(pixels).mean(1)
    # The covariance does not change with the point that it is taken around to first order.
    centred = (widen(x) - per_group(lax.stop_gradient(mean))).astype(x.dtype)
    covariance = _outer_products(centred) / pixels.shape[1]
    variance = (kernel[None] * (covariance @ kernel)).sum(1)
    return mean @ kernel, jnp.maximum(variance, 0)


def _pixels(x: Float[Array, "g n h w c"]) -> Float[Array, "g p c"]:
    return x.reshape(x.shape[0], -1, x.shape[-1])


@jax.custom_vjp
def _outer_products(x: Float[Array, "g n h w c"]) -> Float[Array, "g c c"]:
    """Sums the outer product of each pixel with itself, in float32 or wider."""

    def by_product(x: jax.Array) -> jax.Array:
        over_pixels = (((1,), (1,)), ((0,), (0,)))
        pixels = _pixels(x)
        return lax.dot_general(pixels, pixels, over_pixels, preferred_element_type=widen(x).dtype)

    return lax.platform_dependent(x, cpu=by_product, default=_outer_by_conv)


def _outer_by_conv(x: jax.Array) -> jax.Array:
    """As the kernel's gradient of a 1x1 convolution, for which XLA on TPU copies nothing."""

    def of_group(x: jax.Array) -> jax.Array:
        product = lax.conv_general_dilated(
            x,
            x,
            (1, 1),
            "VALID",
            dimension_numbers=("CHWN", "IHWO", "NHWC"),
            preferred_element_type=widen(x).dtype,
        )
        return product[:, 0, 0]

    return _each_group(of_group, x)


def _each_group(function: Callable[..., Array], *operands: Array) -> Array:
    if len(operands[0]) == 1:
        return function(*(operand[0] for operand in operands))[None]
    return jax.vmap(function)(*operands)


def _outer_forward(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return _outer_products(x), x


def _outer_backward(x: jax.Array, gradient: jax.Array) -> tuple[jax.Array]:
    # JAX's own rule makes two transposed products and adds them.
    both = (gradient + gradient.mT).astype(x.dtype)
    return (
        lax.platform_dependent(
            x,
            both,
            cpu=lambda x, both: (_pixels(x) @ both).reshape(x.shape),
            default=lambda x, both: _each_group(pointwise_conv, x, both),
        ),
    )


_outer_products.defvjp(_outer_forward, _outer_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def shift_and_activate(
    x: Float[Array, "g n h w c"], shift: Float[Array, "g c"], activation: str
) -> Float[Array, "g n h w c"]:
    """Adds a shift to each channel of a group and applies the activation; in the type of `x`.

    For the gradient it keeps `x`, which exists anyway, and neither the sum nor a mask.
    """
    return ACTIVATIONS[activation](widen(x) + per_group(shift)).astype(x.dtype)


def _forward(
    x: jax.Array, shift: jax.Array, activation: str
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return shift_and_activate(x, shift, activation), (x, shift)


def _backward(
    activation: str, residuals: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, shift = residuals
    open_gate = passes(widen(x) + per_group(shift), activation)
    # XLA would compute it once for the sum and once for what made x.
    by_x = compute_once_on_cpu(jnp.where(open_gate, gradient, 0))
    return by_x, widen(by_x).sum((1, 2, 3))


shift_and_activate.defvjp(_forward, _backward)
