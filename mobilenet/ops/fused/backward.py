"""The backward kernel."""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jaxtyping import Array, Float

from mobilenet.ops.activations import passes
from mobilenet.ops.fused.geometry import Geometry, Taps
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


def expand_and_convolve_gradient(
    geometry: Geometry,
    activation: str,
    x: Float[Array, "h w c n"],
    kernel: Float[Array, "c d"],
    shift: Float[Array, " d"],
    taps: Float[Array, "d t"],
    result: Float[Array, "h2 w2 d n"],
    gradient: Float[Array, "h2 w2 d n"],
    factors: Float[Array, "d 3"],
) -> tuple[Float[Array, "h w c n"], Float[Array, "c d"], Float[Array, " d"], Float[Array, "d t"]]:
    """Returns the gradients of `expand_and_convolve` by x, kernel, shift and taps.

    That by its result is a * gradient + b * result + c with a, b and c of each channel in
    `factors`: what is left of a normalisation behind it once the sums over pixels are known. That
    by `x` has the type of `x`; the others are float32.
    """
    rows, columns = geometry
    height, width, inputs, images = x.shape
    channels, block = kernel.shape[1], block_of_images(images)
    (first, last), (left, right) = rows.offsets(), columns.offsets()
    macs = 3 * height * width * inputs + 2 * rows.outputs * columns.outputs * geometry.taps
    ring = (last - first + 1, columns.outputs + right - left, channels, block)
    cell = block_of_rows(
        rows.stride, width, inputs, block, lambda step: jnp.maximum(step - last, 0)
    )
    newest = block_of_rows(
        1, columns.outputs, channels, block, lambda step: jnp.minimum(step, rows.outputs - 1)
    )
    by_x, by_kernel, by_shift, by_taps = call(
        functools.partial(_kernel, geometry, activation),
        (x, kernel.T, kernel, shift[:, None], taps, result, gradient, factors),
        grid=(images // block, height // rows.stride + last),
        in_specs=[
            cell,
            whole(channels, inputs),
            whole(inputs, channels),
            whole(channels, 1),
            whole(channels, geometry.taps),
            newest,
            newest,
            whole(channels, 3),
        ],
        out_specs=[
            cell,
            whole(inputs, channels),
            whole(channels, block),
            whole(geometry.taps, channels, block),
        ],
        out_shape=[
            jax.ShapeDtypeStruct(x.shape, x.dtype),
            jax.ShapeDtypeStruct((inputs, channels), jnp.float32),
            jax.ShapeDtypeStruct((channels, block), jnp.float32),
            jax.ShapeDtypeStruct((geometry.taps, channels, block), jnp.float32),
        ],
        scratch_shapes=[pltpu.VMEM(ring, x.dtype), pltpu.VMEM((width, channels, block), x.dtype)],
        flops=2 * images * channels * macs,
    )
    return by_x, by_kernel, by_shift.sum(-1), by_taps.sum(-1).T


def _kernel(
    geometry: Geometry,
    activation: str,
    x: Ref,
    kernel: Ref,
    transposed: Ref,
    shift: Ref,
    taps: Ref,
    result: Ref,
    gradient: Ref,
    factors: Ref,
    by_x: Ref,
    by_kernel: Ref,
    by_shift: Ref,
    by_taps: Ref,
    ring: Ref,
    line: Ref,
) -> None:
    rows, columns = geometry
    first, last = rows.offsets()
    step, ring_rows = pl.program_id(1), ring.shape[0]
    tiles = ring.shape[2] // CHANNEL_TILE

    @pl.when(step == 0)
    def _() -> None:
        fill_with_zeros(ring)

    @pl.when((step == 0) & (pl.program_id(0) == 0))
    def _() -> None:
        for total in (by_kernel, by_shift, by_taps):
            fill_with_zeros(total)

    # Rows of the ring are counted from the first that the first input meets.
    newest = lax.rem(step - first, ring_rows)

    @pl.when(step < rows.outputs)
    def _() -> None:
        repeat(
            tiles,
            functools.partial(
                _fetch, columns.offsets()[0], newest, result, gradient, factors, ring
            ),
        )

    @pl.when(step >= rows.outputs)
    def _() -> None:
        fill_with_zeros(ring.at[newest])

    @pl.when(step >= last)
    def _() -> None:
        for phase, taps_of_row in enumerate(rows.phases()):
            oldest = step - last - first
            slots = [lax.rem(oldest + offset, ring_rows) for _, offset in taps_of_row]

            def expand_pixel(column: jax.Array, phase: int = phase) -> None:
                line[column] = expand(x[phase, column], kernel, shift, activation)

            def project_pixel(column: jax.Array, phase: int = phase) -> None:
                value = line[column]
                product = jnp.dot(transposed[...], value, preferred_element_type=jnp.float32)
                by_x[phase, column] = product.astype(by_x.dtype)
                over_images = (((1,), (1,)), ((), ()))
                by_kernel[...] += lax.dot_general(
                    x[phase, column], value, over_images, preferred_element_type=jnp.float32
                )

            repeat(columns.size, expand_pixel)
            convolve = functools.partial(
                _convolve, geometry, activation, taps_of_row, slots, taps, by_shift, by_taps, ring
            )
            repeat(tiles, functools.partial(convolve, line))
            repeat(columns.size, project_pixel)


def _fetch(
    left: int,
    slot: jax.Array,
    result: Ref,
    gradient: Ref,
    factors: Ref,
    ring: Ref,
    index: jax.Array,
) -> None:
    """Writes the gradient by a row of the result into the ring, a tile of channels of it."""
    channels = tile(index)
    a, b, c = (to_lanes(factors[channels, k : k + 1], ring) for k in range(3))

    def pixel(column: jax.Array) -> None:
        value = a * gradient[0, column, channels].astype(jnp.float32) + c
        value += b * result[0, column, channels].astype(jnp.float32)
        ring[slot, column - left, channels] = value.astype(ring.dtype)

    repeat(result.shape[1], pixel)


def _convolve(
    geometry: Geometry,
    activation: str,
    taps_of_row: Taps,
    slots: list[jax.Array],
    taps: Ref,
    by_shift: Ref,
    by_taps: Ref,
    ring: Ref,
    line: Ref,
    index: jax.Array,
) -> None:
    """Turns a tile of channels of a row of the expansion into the gradient by what it was made of.

    Each element of the ring is read once for both products: with the tap for the gradient by the
    expansion, and with the expansion for that by the tap.
    """
    columns, channels = geometry.columns, tile(index)
    left, _ = columns.offsets()
    numbers = [i * columns.taps + j for i, _ in taps_of_row for j in range(columns.taps)]
    weights = {n: to_lanes(taps[channels, n : n + 1], ring) for n in numbers}

    def cell(index: jax.Array, sums: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        shifts, by_tap = sums[0], dict(zip(numbers, sums[1:], strict=True))
        for phase, taps_of_column in enumerate(columns.phases()):
            column = index * columns.stride + phase
            value = line[column, channels].astype(jnp.float32)
            total = jnp.zeros_like(value)
            for (i, _), slot in zip(taps_of_row, slots, strict=True):
                for j, offset in taps_of_column:
                    number = i * columns.taps + j
                    seen = ring[slot, index + (offset - left), channels].astype(jnp.float32)
                    total += seen * weights[number]
                    by_tap[number] += seen * value
            total = jnp.where(passes(value, activation), total, 0)
            shifts += total
            line[column, channels] = total.astype(line.dtype)
        return shifts, *by_tap.values()

    start = (by_shift[channels], *(by_taps[number, channels] for number in numbers))
    sums = lax.fori_loop(0, columns.size // columns.stride, cell, start)
    by_shift[channels] = sums[0]
    for number, total in zip(numbers, sums[1:], strict=True):
        by_taps[number, channels] = total
