"""Depthwise convolution, lowered the best way for each backend, with its own gradient.

XLA's CPU backend runs a grouped convolution 10 to 50 times slower than the same sum written as one
shifted multiply-add per kernel tap; accelerators have their own kernels for it. The choice is made
when a program is lowered (`jax.lax.platform_dependent`), so exported programs get the right one.

No operation here reshapes, scans or slices the batch axis: a batch split over devices stays split,
and only the kernel's gradient is summed across them.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mobilenet.ops.convolution import lax_conv
from mobilenet.ops.normalization import widen
from mobilenet.ops.padding import explicit_padding, output_size

IMPLEMENTATIONS = ("auto", "shift", "conv")


_Zeros = tuple[tuple[int, int], ...]  # (before, after) of each axis


class _Geometry(NamedTuple):
    """What a convolution does along the two spatial axes; pairs are (vertical, horizontal)."""

    kernel: tuple[int, ...]
    stride: int
    dilation: int
    zeros: _Zeros
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def cells(self) -> tuple[int, ...]:
        """How often the stride fits into the input, rounded up."""
        return tuple(-(-size // self.stride) for size in self.inputs)

    def taps(self) -> Iterator[tuple[int, int]]:
        return ((i, j) for i in range(self.kernel[0]) for j in range(self.kernel[1]))


def depthwise_conv(
    x: Float[Array, "n h w c"],
    kernel: Float[Array, "kh kw 1 c"],
    *,
    stride: int = 1,
    dilation: int = 1,
    padding: str = "same",
    implementation: str = "auto",
) -> Float[Array, "n h2 w2 c"]:
    """Convolves every channel with its own kernel (HWIO, as Flax with feature_group_count=c).

    Sums are taken in float32 or wider; results and gradients have the type of the inputs.

    Args:
        x: images, channels last.
        kernel: one kernel for each channel, of the type of `x`.
        stride: step between outputs, in pixels, along both axes.
        dilation: step between kernel taps, in pixels, along both axes.
        padding: `same` | `symmetric`, see `mobilenet.ops.padding`.
        implementation: `auto` takes `shift` on CPU and `conv` elsewhere; `shift` is one
            multiply-add per tap with a hand-written gradient; `conv` is
            `jax.lax.conv_general_dilated` with JAX's gradient, for programs exported to other
            tools. Only `conv` has forward-mode derivatives.

    Raises:
        ValueError: if the shapes do not fit together, or an option has no such value.
        TypeError: if `x` and `kernel` differ in type.
    """
    _check(x, kernel, implementation)
    sizes = list(zip(x.shape[1:3], kernel.shape[:2], strict=True))
    geometry = _Geometry(
        kernel=kernel.shape[:2],
        stride=stride,
        dilation=dilation,
        zeros=tuple(explicit_padding(*size, stride, dilation, padding) for size in sizes),
        inputs=x.shape[1:3],
        outputs=tuple(output_size(*size, stride, dilation, padding) for size in sizes),
    )
    if implementation == "conv":
        return _conv(geometry, x, kernel)
    return _depthwise(geometry, implementation, x, kernel)


def _check(x: jax.Array, kernel: jax.Array, implementation: str) -> None:
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(
            f"implementation is {implementation!r}; it must be one of {', '.join(IMPLEMENTATIONS)}."
        )
    if x.ndim != 4 or kernel.ndim != 4 or kernel.shape[2:] != (1, x.shape[-1]):
        raise ValueError(
            f"A depthwise convolution needs x[n, h, w, c] and kernel[kh, kw, 1, c]; "
            f"x has shape {x.shape} and kernel {kernel.shape}."
        )
    if x.dtype != kernel.dtype:
        raise TypeError(
            f"x is {x.dtype} and kernel is {kernel.dtype}; cast one to the other's type."
        )


# The platform is chosen inside the forward and the backward rule, not around them: JAX would
# otherwise differentiate both branches and keep what either needs for its backward pass.
@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _depthwise(
    geometry: _Geometry, implementation: str, x: jax.Array, kernel: jax.Array
) -> jax.Array:
    shift = functools.partial(_shift, geometry)
    if implementation == "shift":
        return shift(x, kernel)
    return lax.platform_dependent(x, kernel, cpu=shift, default=functools.partial(_conv, geometry))


def _forward(
    geometry: _Geometry, implementation: str, x: jax.Array, kernel: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _depthwise(geometry, implementation, x, kernel), (x, kernel)


def _backward(
    geometry: _Geometry,
    implementation: str,
    residuals: tuple[jax.Array, jax.Array],
    gradient: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    def shift(x: jax.Array, kernel: jax.Array, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
        padded, zeros = _pad_gradient(geometry, gradient)
        return (
            _input_gradient(geometry, kernel, padded, zeros),
            _kernel_gradient(geometry, kernel, _pad(x, geometry.zeros), padded, zeros),
        )

    def conv(x: jax.Array, kernel: jax.Array, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jax.vjp(functools.partial(_conv, geometry), x, kernel)[1](gradient)

    if implementation == "shift":
        return shift(*residuals, gradient)
    return lax.platform_dependent(*residuals, gradient, cpu=shift, default=conv)


_depthwise.defvjp(_forward, _backward)


def _conv(geometry: _Geometry, x: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax_conv(
        x,
        kernel,
        stride=geometry.stride,
        dilation=geometry.dilation,
        zeros=geometry.zeros,
        groups=x.shape[-1],
    )


def _shift(geometry: _Geometry, x: jax.Array, kernel: jax.Array) -> jax.Array:
    def total(padded: jax.Array, kernel: jax.Array) -> jax.Array:
        weights = widen(kernel)
        products = (
            widen(_window(geometry, padded, i, j)) * weights[i, j][None, None]
            for i, j in geometry.taps()
        )
        return functools.reduce(jnp.add, products).astype(x.dtype)

    return _compute_once(kernel, total, _pad(x, geometry.zeros), kernel)


def _kernel_gradient(
    geometry: _Geometry,
    kernel: jax.Array,
    padded: jax.Array,
    padded_gradient: jax.Array,
    zeros: _Zeros,
) -> jax.Array:
    """Sums input times gradient for all taps in one pass.

    One reduction with an operand per tap reads both tensors once; a reduction per tap reads them
    once each. Summing rows first keeps a row in the cache and leaves the batch axis alone.
    """
    (top, _), (left, _) = zeros
    height, width = geometry.outputs

    def total(padded: jax.Array, padded_gradient: jax.Array) -> jax.Array:
        gradient = widen(padded_gradient[:, top : top + height, left : left + width])
        products = [widen(_window(geometry, padded, i, j)) * gradient for i, j in geometry.taps()]
        start = [jnp.zeros((), product.dtype) for product in products]
        rows = lax.reduce(
            products, start, lambda a, b: [p + q for p, q in zip(a, b, strict=True)], (2,)
        )
        sums = jnp.stack([jnp.sum(row, axis=(0, 1)) for row in rows])
        return sums.reshape(*geometry.kernel, 1, -1).astype(padded.dtype)

    return _compute_once(kernel, total, padded, padded_gradient)


def _pad_gradient(geometry: _Geometry, gradient: jax.Array) -> tuple[jax.Array, _Zeros]:
    """Returns the gradient with all that the mirrored kernel reaches beyond it, and the zeros."""
    zeros = []
    for axis, output in enumerate(geometry.outputs):
        offsets = [offset for phase in _phases(geometry, axis) for _, offset in phase]
        end = max(offsets) + geometry.cells()[axis]
        zeros.append((max(0, -min(offsets)), max(0, end - output)))
    return _pad(gradient, zeros), tuple(zeros)


def _input_gradient(
    geometry: _Geometry, kernel: jax.Array, padded: jax.Array, zeros: _Zeros
) -> jax.Array:
    """Convolves the gradient with the mirrored kernel, one phase of the stride at a time.

    Input pixels of equal position modulo the stride meet the same taps, so each phase is a
    convolution of stride 1 and the phases are interleaved at the end. No zeros are multiplied.
    """
    cells, weights = geometry.cells(), widen(kernel)
    n, _, _, c = padded.shape

    def phase(vertical: list[tuple[int, int]], horizontal: list[tuple[int, int]]) -> jax.Array:
        total = jnp.zeros((n, *cells, c), weights.dtype)
        for i, down in vertical:
            for j, right in horizontal:
                top, left = down + zeros[0][0], right + zeros[1][0]
                window = padded[:, top : top + cells[0], left : left + cells[1]]
                total += widen(window) * weights[i, j][None, None]
        return total.astype(padded.dtype)

    rows, columns = (_phases(geometry, axis) for axis in (0, 1))
    grid = jnp.stack([jnp.stack([phase(v, h) for h in columns], axis=3) for v in rows], axis=2)
    whole = grid.reshape(n, *(cell * geometry.stride for cell in cells), c)
    return whole[:, : geometry.inputs[0], : geometry.inputs[1]]


def _phases(geometry: _Geometry, axis: int) -> list[list[tuple[int, int]]]:
    before, _ = geometry.zeros[axis]
    return phases(geometry.kernel[axis], geometry.stride, geometry.dilation, before)


def phases(taps: int, stride: int, dilation: int, before: int) -> list[list[tuple[int, int]]]:
    """Returns for each phase of the stride: the taps that see it, and where each has its output.

    `stride` inputs make a cell, and an output belongs to each; outputs are counted from that of the
    input's own cell. `before` is the number of zeros before the axis.
    """
    shifts = [before - tap * dilation for tap in range(taps)]
    return [
        [
            (tap, (phase + shift) // stride)
            for tap, shift in enumerate(shifts)
            if (phase + shift) % stride == 0
        ]
        for phase in range(stride)
    ]


def _window(geometry: _Geometry, padded: jax.Array, i: int, j: int) -> jax.Array:
    """What the tap (i, j) sees of the padded input: one pixel for each output."""
    top, left = i * geometry.dilation, j * geometry.dilation
    stride, (height, width) = geometry.stride, geometry.outputs
    return padded[
        :,
        top : top + (height - 1) * stride + 1 : stride,
        left : left + (width - 1) * stride + 1 : stride,
    ]


def _pad(x: jax.Array, zeros: Sequence[tuple[int, int]]) -> jax.Array:
    # Without the barrier XLA may pad, and compute whatever made x, once for every tap.
    return lax.optimization_barrier(jnp.pad(x, ((0, 0), *zeros, (0, 0))))


def _compute_once(
    kernel: jax.Array, function: Callable[..., jax.Array], *operands: jax.Array
) -> jax.Array:
    """Returns function(*operands), computed once from operands that are computed once.

    XLA's CPU backend would compute this sum of many products again in each of its readers, and
    whatever made the operands again for each product. A conditional is what it does not see
    through, so we ask something that it cannot know: whether the kernel is a number.
    """
    result = jax.eval_shape(function, *operands)
    is_number = ~jnp.isnan(kernel[0, 0, 0, 0])
    no_numbers = functools.partial(jnp.full, result.shape, jnp.nan, result.dtype)
    return lax.cond(is_number, function, lambda *_: no_numbers(), *operands)
