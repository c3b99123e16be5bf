"""The forward kernel."""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jaxtyping import Array, Float

from mobilenet.ops.fused.geometry import Geometry
from mobilenet.ops.fused.kernel import (
    CHANNEL_TILE,
    Ref,
    block_of_images,
    block_of_rows,
    call,
    expand,
    fill_with_zeros,
    repeat,
    tile,
    to_lanes,
    whole,
)


def expand_and_convolve(
    geometry: Geometry,
    activation: str,
    x: Float[Array, "h w c n"],
    kernel: Float[Array, "c d"],
    shift: Float[Array, " d"],
    taps: Float[Array, "d t"],
) -> tuple[Float[Array, "h2 w2 d n"], Float[Array, " d"], Float[Array, " d"]]:
    """Returns depthwise(activation(x @ kernel + shift)), and its sum and sum of squares by channel.

    Args:
      geometry: of the depthwise convolution; strides divide the size of the image.
      activation: of the expansion.
      x: images; `kernel` has their type.
      kernel: of the expansion; `d` is a multiple of CHANNEL_TILE.
      shift: float32, as the sums.
      taps: the depthwise kernel, float32, row by row.
    """
    rows, columns = geometry
    height, width, inputs, images = x.shape
    channels, block = kernel.shape[1], block_of_images(images)
    cells = height // rows.stride
    macs = height * width * inputs + rows.outputs * columns.outputs * geometry.taps
    outputs = (rows.outputs, columns.outputs, channels, images)
    ring = (rows.stride * (rows.lookahead + 1) + rows.before, columns.padded, channels, block)
    result, *sums = call(
        functools.partial(_kernel, geometry, activation),
        (x, kernel.T, shift[:, None], taps),
        grid=(images // block, cells + rows.lookahead),
        in_specs=[
            block_of_rows(
                rows.stride, width, inputs, block, lambda step: jnp.minimum(step, cells - 1)
            ),
            whole(channels, inputs),
            whole(channels, 1),
            whole(channels, geometry.taps),
        ],
        out_specs=[
            block_of_rows(
                1,
                columns.outputs,
                channels,
                block,
                lambda step: jnp.maximum(step - rows.lookahead, 0),
            ),
            whole(channels, block),
            whole(channels, block),
        ],
        out_shape=[
            jax.ShapeDtypeStruct(outputs, x.dtype),
            *[jax.ShapeDtypeStruct((channels, block), jnp.float32)] * 2,
        ],
        scratch_shapes=[pltpu.VMEM(ring, x.dtype)],
        flops=2 * images * channels * macs,
    )
    total, squares = (by_image.sum(-1) for by_image in sums)
    return result, total, squares


def _kernel(
    geometry: Geometry,
    activation: str,
    x: Ref,
    kernel: Ref,
    shift: Ref,
    taps: Ref,
    result: Ref,
    total: Ref,
    squares: Ref,
    ring: Ref,
) -> None:
    rows, columns = geometry
    step, ring_rows = pl.program_id(1), ring.shape[0]

    @pl.when(step == 0)
    def _() -> None:
        fill_with_zeros(ring)

    @pl.when((step == 0) & (pl.program_id(0) == 0))
    def _() -> None:
        fill_with_zeros(total)
        fill_with_zeros(squares)

    for phase in range(rows.stride):
        # Rows are counted from the first zero above the image.
        slot = lax.rem(step * rows.stride + phase + rows.before, ring_rows)

        @pl.when(step < rows.size // rows.stride)
        def _(phase: int = phase, slot: jax.Array = slot) -> None:
            def expand_pixel(column: jax.Array) -> None:
                value = expand(x[phase, column], kernel, shift, activation)
                ring[slot, columns.before + column] = value

            repeat(columns.size, expand_pixel)

        @pl.when(step >= rows.size // rows.stride)
        def _(slot: jax.Array = slot) -> None:
            fill_with_zeros(ring.at[slot])

    @pl.when(step >= rows.lookahead)
    def _() -> None:
        top = (step - rows.lookahead) * rows.stride
        slots = [lax.rem(top + tap * rows.dilation, ring_rows) for tap in range(rows.taps)]
        repeat(
            ring.shape[2] // CHANNEL_TILE,
            functools.partial(_convolve, geometry, slots, taps, result, total, squares, ring),
        )


def _convolve(
    geometry: Geometry,
    slots: list[jax.Array],
    taps: Ref,
    result: Ref,
    total: Ref,
    squares: Ref,
    ring: Ref,
    index: jax.Array,
) -> None:
    """Computes a tile of channels of one row of the result."""
    columns, channels = geometry.columns, tile(index)
    weights = [to_lanes(taps[channels, tap : tap + 1], ring) for tap in range(geometry.taps)]

    def pixel(column: jax.Array, sums: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        value = jnp.zeros_like(weights[0])
        for i, slot in enumerate(slots):
            for j in range(columns.taps):
                at = column * columns.stride + j * columns.dilation
                seen = ring[slot, at, channels].astype(jnp.float32)
                value += seen * weights[i * columns.taps + j]
        rounded = value.astype(result.dtype)
        result[0, column, channels] = rounded
        # The statistics are those of what is stored.
        value = rounded.astype(jnp.float32)
        return sums[0] + value, sums[1] + value * value

    start = (total[channels], squares[channels])
    total[channels], squares[channels] = lax.fori_loop(0, columns.outputs, pixel, start)
