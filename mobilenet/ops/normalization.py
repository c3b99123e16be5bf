"""Batch normalisation and activation with one gradient: every tensor is read as seldom as can be.

Left to differentiation, the gradient of both statistics is another pass over memory each, XLA
computes what made the input again in every one of them, and the normalised tensor is kept.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mobilenet.ops.activations import ACTIVATIONS, passes
from mobilenet.ops.barriers import compute_once_on_cpu


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def normalize_groups(
    x: Float[Array, "g n h w c"],
    scale: Float[Array, " c"],
    bias: Float[Array, " c"],
    epsilon: float,
    activation: str = "linear",
) -> tuple[Float[Array, "g n h w c"], Float[Array, "g c"], Float[Array, "g c"]]:
    """Normalises each group of images by itself and applies the activation.

    Returns the result, and mean and variance of the groups, which carry no gradient.
    """
    return _forward(x, scale, bias, epsilon, activation)[0]


class Residuals(NamedTuple):
    """What the gradient is made of: x [g n h w c], scale and bias [c], the statistics [g c]."""

    x: jax.Array
    scale: jax.Array
    bias: jax.Array
    mean: jax.Array
    inverse: jax.Array  # 1 / standard deviation

    def factor(self) -> jax.Array:
        return self.inverse * self.scale[None]

    def normalized(self) -> jax.Array:
        factor = self.factor()
        return widen(self.x) * per_group(factor) + per_group(self.bias[None] - self.mean * factor)

    def result(self, activation: str) -> jax.Array:
        return ACTIVATIONS[activation](self.normalized()).astype(self.x.dtype)


def _forward(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float, activation: str
) -> tuple[tuple[jax.Array, jax.Array, jax.Array], Residuals]:
    values = widen(x)
    mean = _sum(values) / _count(x)
    var = jnp.maximum(_sum(jnp.square(values)) / _count(x) - jnp.square(mean), 0)
    residuals = Residuals(x, scale, bias, mean, lax.rsqrt(var + epsilon))
    return (residuals.result(activation), mean, var), residuals


def _backward(
    _epsilon: float,
    activation: str,
    residuals: Residuals,
    gradients: tuple[jax.Array, jax.Array, jax.Array],
) -> tuple[jax.Array, jax.Array, jax.Array]:
    # XLA would compute whatever made these once for the sums and once more below.
    x, dy = compute_once_on_cpu((residuals.x, gradients[0]))
    gradient = gradient_parts(residuals._replace(x=x), dy, activation)
    dx = widen(gradient.dy) * per_group(gradient.factor)
    dx = dx - (widen(x) - per_group(residuals.mean)) * per_group(gradient.slope)
    dx = dx - per_group(gradient.offset)
    return dx.astype(x.dtype), gradient.by_scale, gradient.by_bias


normalize_groups.defvjp(_forward, _backward)


class GradientParts(NamedTuple):
    """The gradient by x is dy * factor - (x - mean) * slope - offset.

    Ioffe and Szegedy, 1502.03167, section 3, with the terms of each pixel collected.
    """

    dy: jax.Array  # before the activation, of the type of x
    factor: jax.Array
    slope: jax.Array
    offset: jax.Array
    by_scale: jax.Array
    by_bias: jax.Array


def gradient_parts(residuals: Residuals, dy: jax.Array, activation: str) -> GradientParts:
    """Returns all of the gradient that takes sums over pixels, from that by the result."""
    if activation != "linear":
        dy = compute_once_on_cpu(jnp.where(passes(residuals.normalized(), activation), dy, 0))
    centred, wide = widen(residuals.x) - per_group(residuals.mean), widen(dy)
    by_bias = _sum(wide)
    by_scale = _sum(wide * centred) * residuals.inverse
    factor, count = residuals.factor(), _count(residuals.x)
    slope = factor * residuals.inverse * by_scale / count
    return GradientParts(
        dy, factor, slope, factor * by_bias / count, by_scale.sum(0), by_bias.sum(0)
    )


def widen(x: Array) -> Array:
    """Returns the values as float32, or as they are where they are wider."""
    return x.astype(jnp.float32) if x.dtype.itemsize < 4 else x


def _sum(x: jax.Array) -> jax.Array:
    # One tensor at a time: XLA's CPU backend sums two in one pass, which takes three times as long.
    return x.sum((1, 2, 3))


def _count(x: jax.Array) -> int:
    return x.shape[1] * x.shape[2] * x.shape[3]


def per_group(values: Float[Array, "g c"]) -> Float[Array, "g 1 1 1 c"]:
    """Returns a value for each channel of a group in the shape that meets [g n h w c]."""
    return values[:, None, None, None]
