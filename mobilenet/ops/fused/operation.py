"""An expansion, the depthwise convolution behind it and their normalisations as one operation.

Its statistics follow from its input (`mobilenet.ops.folding.linear_statistics`), so an expansion is
normalised without having been seen: what makes one kernel for each direction possible.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mobilenet.ops.fused.backward import expand_and_convolve_gradient
from mobilenet.ops.fused.forward import expand_and_convolve
from mobilenet.ops.fused.geometry import Geometry, make_axis
from mobilenet.ops.fused.kernel import CHANNEL_TILE
from mobilenet.ops.normalization import Residuals, gradient_parts

_TO_KERNEL, _FROM_KERNEL = (1, 2, 3, 0), (3, 0, 1, 2)  # [n h w c] and [h w c n]


class _Operation(NamedTuple):
    geometry: Geometry
    activation: str  # of the expansion
    norm_activation: str  # of the depthwise convolution
    epsilon: float


def can_fuse(channels: int, stride: int, height: int, width: int) -> bool:
    """Returns whether the kernels take an expansion to so many channels of images of such a size.

    Tiles of channels, and strides of the depthwise convolution, must be whole.
    """
    return channels % CHANNEL_TILE == 0 and not any(size % stride for size in (height, width))


def fused_expansion(
    x: Float[Array, "n h w c"],
    kernel: Float[Array, "c d"],
    shift: Float[Array, " d"],
    taps: Float[Array, "kh kw 1 d"],
    scale: Float[Array, " d"],
    bias: Float[Array, " d"],
    *,
    activation: str,
    stride: int,
    dilation: int,
    norm_activation: str,
    padding: str,
    epsilon: float,
) -> tuple[Float[Array, "n h2 w2 d"], Float[Array, " d"], Float[Array, " d"]]:
    """Returns norm(depthwise(activation(x @ kernel + shift))), and the mean and the variance of it.

    The normalisation is over all images. Mean and variance carry no gradient.

    Args:
      x: images, in the compute type.
      kernel: of the expansion, with its own normalisation folded in.
      shift: what that normalisation adds, float32.
      taps: the depthwise kernel, float32.
      scale: of the normalisation behind it, as `bias`.
      bias: see `scale`.
      activation: of the expansion; `can_fuse` holds for it.
      stride: of the depthwise convolution, as `dilation`.
      dilation: see `stride`.
      norm_activation: behind the normalisation.
      padding: `same` | `symmetric`, see `mobilenet.ops.padding`.
      epsilon: added to the variance.
    """
    rows, columns = (
        make_axis(size, count, stride, dilation, padding)
        for size, count in zip(x.shape[1:3], taps.shape[:2], strict=True)
    )
    operation = _Operation(Geometry(rows, columns), activation, norm_activation, epsilon)
    return _fused(operation, x, kernel, shift, taps, scale, bias)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _fused(operation: _Operation, *arrays: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    return _forward(operation, *arrays)[0]


class _Inputs(NamedTuple):
    x: jax.Array  # [h w c n]
    kernel: jax.Array
    shift: jax.Array
    taps: jax.Array  # [d t]


def _forward(
    operation: _Operation,
    x: jax.Array,
    kernel: jax.Array,
    shift: jax.Array,
    taps: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
) -> tuple[tuple[jax.Array, jax.Array, jax.Array], tuple[_Inputs, Residuals]]:
    geometry, activation, norm_activation, epsilon = operation
    # As the depthwise convolution beside other layers, which takes its kernel in the type of x.
    taps = taps.astype(x.dtype).astype(jnp.float32).reshape(geometry.taps, -1).T
    inputs = _Inputs(x.transpose(_TO_KERNEL), kernel, shift, taps)
    result, total, squares = expand_and_convolve(geometry, activation, *inputs)
    pixels = result.size // result.shape[2]
    mean = total / pixels
    var = jnp.maximum(squares / pixels - jnp.square(mean), 0)
    result = result.transpose(_FROM_KERNEL)[None]
    residuals = Residuals(result, scale, bias, mean[None], lax.rsqrt(var + epsilon)[None])
    return (residuals.result(norm_activation)[0], mean, var), (inputs, residuals)


def _backward(
    operation: _Operation,
    saved: tuple[_Inputs, Residuals],
    gradients: tuple[jax.Array, jax.Array, jax.Array],
) -> tuple[jax.Array, ...]:
    geometry, activation, norm_activation, _ = operation
    inputs, residuals = saved
    parts = gradient_parts(residuals, gradients[0][None], norm_activation)
    constant = residuals.mean * parts.slope - parts.offset
    by_x, by_kernel, by_shift, by_taps = expand_and_convolve_gradient(
        geometry,
        activation,
        *inputs,
        residuals.x[0].transpose(_TO_KERNEL),
        parts.dy[0].transpose(_TO_KERNEL),
        jnp.concatenate([parts.factor, -parts.slope, constant]).T,
    )
    shape = (geometry.rows.taps, geometry.columns.taps, 1, -1)
    return (
        by_x.transpose(_FROM_KERNEL),
        by_kernel.astype(inputs.kernel.dtype),
        by_shift,
        by_taps.T.reshape(shape),
        parts.by_scale,
        parts.by_bias,
    )


_fused.defvjp(_forward, _backward)
