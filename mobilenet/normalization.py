"""Batch normalisation with its own gradient: every tensor is read as seldom as can be.

Left to differentiation, the gradient of both statistics is another pass over memory each, and XLA
computes what made the input again in every one of them.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from mobilenet.errors import UserError


class BatchNorm(nnx.Module):
    """Normalises each channel; statistics and arithmetic are float32 for narrower inputs too.

    In training (`module.train()`) over groups of `group_size` images of the batch, and the moving
    statistics follow the mean over the groups; in evaluation (`module.eval()`) with the moving
    statistics. Their variance is the biased one, as TensorFlow's.
    """

    def __init__(
        self, channels: int, *, epsilon: float, momentum: float, group_size: int | None = None
    ):
        shape = jax.ShapeDtypeStruct((channels,), jnp.float32)
        self.scale, self.bias = nnx.Param(shape), nnx.Param(shape)
        self.mean, self.var = nnx.BatchStat(shape), nnx.BatchStat(shape)
        self.epsilon = epsilon
        self.momentum = momentum
        self.group_size = group_size
        self.use_running_average = False

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
        """Raises UserError if the batch is not made of whole groups."""
        scale, bias = self.scale[...], self.bias[...]
        if self.use_running_average:
            factor = lax.rsqrt(self.var[...] + self.epsilon) * scale
            shift = bias - self.mean[...] * factor
            return (widen(x) * factor[None, None, None] + shift[None, None, None]).astype(x.dtype)
        images = x.shape[0]
        size = self.group_size or images
        if images % size:
            raise UserError(
                f"norm_group_size={size} does not divide a batch of {images} images: "
                "choose a divisor of the batch size."
            )
        groups = x.reshape(images // size, size, *x.shape[1:])
        result, mean, var = normalize_groups(groups, scale, bias, self.epsilon)
        keep = self.momentum
        self.mean[...] = keep * self.mean[...] + (1 - keep) * mean.mean(0)
        self.var[...] = keep * self.var[...] + (1 - keep) * var.mean(0)
        return result.reshape(x.shape)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def normalize_groups(
    x: Float[Array, "g n h w c"],
    scale: Float[Array, " c"],
    bias: Float[Array, " c"],
    epsilon: float,
) -> tuple[Float[Array, "g n h w c"], Float[Array, "g c"], Float[Array, "g c"]]:
    """Normalises each group of images by itself.

    Returns the result, and mean and variance of the groups, which carry no gradient.
    """
    return _forward(x, scale, bias, epsilon)[0]


class _Residuals(NamedTuple):
    x: jax.Array
    scale: jax.Array
    mean: jax.Array
    inverse: jax.Array  # 1 / standard deviation


def _forward(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> tuple[tuple[jax.Array, jax.Array, jax.Array], _Residuals]:
    values = widen(x)
    # One pass over memory gives both statistics.
    total, squares = _sums(values, jnp.square(values))
    count = _count(x)
    mean = total / count
    var = jnp.maximum(squares / count - jnp.square(mean), 0)
    inverse = lax.rsqrt(var + epsilon)
    factor = inverse * scale[None]
    result = values * _per_group(factor) + _per_group(bias[None] - mean * factor)
    return (result.astype(x.dtype), mean, var), _Residuals(x, scale, mean, inverse)


def _backward(
    _epsilon: float, residuals: _Residuals, gradients: tuple[jax.Array, jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array, jax.Array]:
    # Without the barrier XLA computes whatever made these once for the sums and once more below.
    x, gradient = lax.optimization_barrier((residuals.x, gradients[0]))
    centred, dy = widen(x) - _per_group(residuals.mean), widen(gradient)
    by_bias, by_centred = _sums(dy, dy * centred)
    by_scale = by_centred * residuals.inverse
    # Ioffe and Szegedy, 1502.03167, section 3, with the terms of each pixel collected.
    factor = residuals.inverse * residuals.scale[None]
    slope = factor * residuals.inverse * by_scale / _count(x)
    dx = dy * _per_group(factor) - centred * _per_group(slope)
    dx = dx - _per_group(factor * by_bias / _count(x))
    return dx.astype(x.dtype), by_scale.sum(0), by_bias.sum(0)


normalize_groups.defvjp(_forward, _backward)


def widen(x: Array) -> Array:
    """Returns the values as float32, or as they are where they are wider."""
    return x.astype(jnp.float32) if x.dtype.itemsize < 4 else x


def _sums(*tensors: jax.Array) -> list[jax.Array]:
    """Sums [g n h w c] to [g c], all tensors in one pass; rows first, as they lie in memory."""
    rows = [x.reshape(x.shape[0], -1, *x.shape[3:]) for x in tensors]
    zeros = [jnp.zeros((), x.dtype) for x in tensors]
    sums = lax.reduce(rows, zeros, lambda a, b: list(map(jnp.add, a, b)), (2,))
    return [x.sum(1) for x in sums]


def _count(x: jax.Array) -> int:
    return x.shape[1] * x.shape[2] * x.shape[3]


def _per_group(values: jax.Array) -> jax.Array:
    return values[:, None, None, None]
