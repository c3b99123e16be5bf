"""Convolution of every input channel with every output channel: the stem, and V1's `full` blocks.

XLA's CPU backend takes twice as long as it need where there are few input channels, as in an image.
There the pixels that the kernel sees are laid side by side once, and the rest is a matrix product.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mobilenet.ops.padding import explicit_padding, output_size
from mobilenet.ops.pointwise import multiply_over_pixels

# Patches of more channels cost more memory than they save time.
_MAX_PATCH_CHANNELS = 4


class _Geometry(NamedTuple):
    stride: int
    dilation: int
    zeros: tuple[tuple[int, int], ...]  # (before, after) of each axis
    outputs: tuple[int, ...]


def conv(
    x: Float[Array, "n h w c"],
    kernel: Float[Array, "kh kw c d"],
    *,
    stride: int = 1,
    dilation: int = 1,
    padding: str = "same",
) -> Float[Array, "n h2 w2 d"]:
    """Convolves images, channels last; `kernel` has the type of `x`.

    Args:
        x: images.
        kernel: height, width, input and output channels.
        stride: step between outputs, in pixels, along both axes.
        dilation: step between kernel taps, in pixels, along both axes.
        padding: `same` | `symmetric`, see `mobilenet.ops.padding`.

    Raises:
        ValueError: if the kernel does not fit on the image, or an option has no such value.
    """
    sizes = list(zip(x.shape[1:3], kernel.shape[:2], strict=True))
    geometry = _Geometry(
        stride=stride,
        dilation=dilation,
        zeros=tuple(explicit_padding(*size, stride, dilation, padding) for size in sizes),
        outputs=tuple(output_size(*size, stride, dilation, padding) for size in sizes),
    )
    if x.shape[-1] > _MAX_PATCH_CHANNELS:
        return _lax(geometry, x, kernel)
    return _few_channels(geometry, x, kernel)


# The platform is chosen inside both rules, as in `mobilenet.ops.depthwise`.
@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _few_channels(geometry: _Geometry, x: jax.Array, kernel: jax.Array) -> jax.Array:
    by_patches, by_lax = (functools.partial(f, geometry) for f in (_patch_product, _lax))
    return lax.platform_dependent(x, kernel, cpu=by_patches, default=by_lax)


def _forward(
    geometry: _Geometry, x: jax.Array, kernel: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _few_channels(geometry, x, kernel), (x, kernel)


def _backward(
    geometry: _Geometry, residuals: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = residuals

    def by_patches(x: jax.Array, gradient: jax.Array) -> jax.Array:
        patches = _patches(geometry, x, kernel.shape[:2])
        pixels = gradient.reshape(-1, gradient.shape[-1])
        products = multiply_over_pixels(patches.reshape(-1, patches.shape[-1]), pixels)
        return products.reshape(kernel.shape)

    def by_lax(x: jax.Array, gradient: jax.Array) -> jax.Array:
        return jax.vjp(functools.partial(_lax, geometry, x), kernel)[1](gradient)[0]

    # Nothing computes it where nobody asks for the gradient of an image.
    (by_input,) = jax.vjp(lambda x: _lax(geometry, x, kernel), x)[1](gradient)
    return by_input, lax.platform_dependent(x, gradient, cpu=by_patches, default=by_lax)


_few_channels.defvjp(_forward, _backward)


def lax_conv(
    x: Float[Array, "n h w c"],
    kernel: Float[Array, "kh kw e d"],
    *,
    stride: int,
    dilation: int,
    zeros: Sequence[tuple[int, int]],
    groups: int = 1,
) -> Float[Array, "n h2 w2 d"]:
    """XLA's own convolution. `zeros` pads (before, after) each axis; `e` is `c` over `groups`."""
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=zeros,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def _lax(geometry: _Geometry, x: jax.Array, kernel: jax.Array) -> jax.Array:
    stride, dilation, zeros, _ = geometry
    return lax_conv(x, kernel, stride=stride, dilation=dilation, zeros=zeros)


def _patch_product(geometry: _Geometry, x: jax.Array, kernel: jax.Array) -> jax.Array:
    patches = _patches(geometry, x, kernel.shape[:2])
    product = patches.reshape(-1, patches.shape[-1]) @ kernel.reshape(-1, kernel.shape[-1])
    return product.reshape(*patches.shape[:3], -1)


def _patches(geometry: _Geometry, x: jax.Array, size: tuple[int, ...]) -> jax.Array:
    """Returns [n, h2, w2, kh * kw * c]: for each output all that its kernel sees."""
    _, dilation, zeros, (height, width) = geometry
    padded = jnp.pad(x, ((0, 0), *zeros, (0, 0)))
    windows = [
        padded[:, i * dilation :: geometry.stride, j * dilation :: geometry.stride]
        for i in range(size[0])
        for j in range(size[1])
    ]
    return jnp.concatenate([window[:, :height, :width] for window in windows], axis=-1)
