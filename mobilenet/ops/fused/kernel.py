"""What both kernels are made of.

Tensors are [h w c n], images last: so XLA itself lays out narrow tensors on a TPU. Channels then
lie on sublanes and images on lanes, and neither a shift along the image nor a sum over pixels moves
anything between lanes. The grid goes over blocks of images, and for each from the first row to the
last; what a row needs of its neighbours is kept in a ring of rows.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from mobilenet.ops.activations import ACTIVATIONS

# Channels that are computed at once: the tiles of 2-byte values are 16 sublanes by 128 lanes.
CHANNEL_TILE = 16
_LANES = 128
# XLA allows a kernel 16 MiB unless told otherwise; v5e and v6e have 128 MiB, v5p has 64.
_MEMORY_LIMIT = 64 * 2**20

Ref = Any  # of Pallas: a view of memory that is read and written by indexing


def block_of_images(images: int) -> int:
    """Returns how many images a block has."""
    return images if images % _LANES else _LANES


def block_of_rows(
    rows: int, columns: int, channels: int, images: int, at: Callable[[jax.Array], jax.Array]
) -> pl.BlockSpec:
    """Of an [h w c n] tensor; `at` says which block of rows a step of the grid takes."""
    return pl.BlockSpec((rows, columns, channels, images), lambda n, step: (at(step), 0, 0, n))


def whole(*shape: int) -> pl.BlockSpec:
    """The same tensor at every step of the grid."""
    return pl.BlockSpec(shape, lambda *_: (0,) * len(shape))


def tile(index: jax.Array) -> Any:
    """The channels of a tile, to index with."""
    return pl.ds(pl.multiple_of(index * CHANNEL_TILE, CHANNEL_TILE), CHANNEL_TILE)


def to_lanes(column: jax.Array, like: Ref) -> jax.Array:
    """[c 1] to [c n]."""
    return jnp.broadcast_to(column, (column.shape[0], like.shape[-1]))


def expand(pixel: jax.Array, kernel: Ref, shift: Ref, activation: str) -> jax.Array:
    """[c n] to [d n], with kernel [d c] and shift [d 1]."""
    value = jnp.dot(kernel[...], pixel, preferred_element_type=jnp.float32) + shift[...]
    return ACTIVATIONS[activation](value).astype(pixel.dtype)


def repeat(count: int, body: Callable[[jax.Array], None]) -> None:
    """Runs a loop that is not unrolled, which keeps the program short."""

    def run(index: jax.Array, _: None) -> None:
        body(index)

    lax.fori_loop(0, count, run, None)


def fill_with_zeros(ref: Ref) -> None:
    if len(ref.shape) > 2:
        repeat(ref.shape[0], lambda index: fill_with_zeros(ref.at[index]))
    else:
        ref[...] = jnp.zeros(ref.shape, ref.dtype)


def call(
    kernel: Callable[..., None],
    operands: Sequence[jax.Array],
    *,
    grid: tuple[int, int],
    in_specs: Sequence[pl.BlockSpec],
    out_specs: Sequence[pl.BlockSpec],
    out_shape: Sequence[jax.ShapeDtypeStruct],
    scratch_shapes: Sequence[Any],
    flops: int,
) -> Sequence[jax.Array]:
    """Runs a kernel on TPU, and step by step in an interpreter on CPU, which is very slow.

    XLA takes operands and results for what it reads and writes, once each, and `flops` as said.
    """
    arrays: list[jax.Array | jax.ShapeDtypeStruct] = [*operands, *out_shape]
    cost = pl.CostEstimate(
        flops=flops,
        transcendentals=0,
        bytes_accessed=sum(array.size * array.dtype.itemsize for array in arrays),
    )
    # A ring and the sums pass from one step to the next.
    parameters = pltpu.CompilerParams(
        dimension_semantics=("arbitrary", "arbitrary"), vmem_limit_bytes=_MEMORY_LIMIT
    )

    def run(*operands: jax.Array, interpret: bool) -> Sequence[jax.Array]:
        return pl.pallas_call(
            kernel,
            grid=grid,
            in_specs=in_specs,
            out_specs=out_specs,
            out_shape=out_shape,
            scratch_shapes=scratch_shapes,
            cost_estimate=cost,
            compiler_params=parameters,
            interpret=interpret,
        )(*operands)

    return lax.platform_dependent(
        *operands,
        cpu=functools.partial(run, interpret=True),
        tpu=functools.partial(run, interpret=False),
    )
