"""The reader of compiled programs, on programs whose collectives and sizes are known by hand."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec

from mobilenet.ahead.hlo import Collective, Program
from mobilenet.runtime.mesh import make_mesh

SPLIT, WHOLE = PartitionSpec("data"), PartitionSpec()


def _compile(function, *shapes, out):
    """Compiles a function of each device's part; arguments are split on their first axis."""
    local = jax.shard_map(
        function, mesh=make_mesh(), in_specs=(SPLIT,) * len(shapes), out_specs=out, check_vma=False
    )
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return Program(jax.jit(local).lower(*arguments).compile().as_text())


def test_sums_that_are_combined_count_once_with_all_their_bytes():
    def sums(x, y):
        return jax.lax.psum((x, y), "data")

    # On each of 8 devices: float32[2, 100] and float32[3].
    found = _compile(sums, (16, 100), (24,), out=WHOLE).collectives()
    assert found == {"all-reduce": Collective(1, 4 * (200 + 3))}


def test_each_kind_counts_what_a_device_puts_in():
    def exchange(x):
        neighbour = jax.lax.ppermute(x, "data", [(i, (i + 1) % 8) for i in range(8)])
        return jax.lax.all_gather(jnp.sin(neighbour), "data", tiled=True)

    found = _compile(exchange, (16, 100), out=WHOLE).collectives()
    part = 4 * 2 * 100
    assert found == {
        "all-gather": Collective(1, part),
        "collective-permute": Collective(1, part),
    }


def test_a_loop_counts_as_often_as_it_turns():
    def repeated(x):
        def turn(_, x):
            return jnp.sin(jax.lax.psum(x, "data"))

        return jax.lax.fori_loop(0, 5, turn, x)

    found = _compile(repeated, (16, 100), out=WHOLE).collectives()
    assert found == {"all-reduce": Collective(5, 5 * 4 * 2 * 100)}


def test_a_program_on_its_own_has_none():
    text = jax.jit(jnp.sin).lower(jnp.zeros(8)).compile().as_text()
    assert Program(text).collectives() == {}


# As libtpu 0.0.42 writes them, shortened: S(1) is the chip's own memory.
TPU_TEXT = """HloModule jit_step, is_scheduled=true

%fused_computation (param_0: bf16[128,64]) -> bf16[128,64] {
  %param_0 = bf16[128,64]{1,0} parameter(0)
  ROOT %negate.1 = bf16[128,64]{1,0} negate(%param_0)
}

%async_computation (param_1: bf16[128,64]) -> bf16[32,64] {
  %param_1 = bf16[128,64]{1,0} parameter(0)
  ROOT %slice.1 = bf16[32,64]{1,0:T(8,128)(2,1)S(1)} slice(%param_1), slice={[0:32], [0:64]}
}

ENTRY %main (x: bf16[128,64]) -> bf16[128,64] {
  %x = bf16[128,64]{1,0:T(8,128)(2,1)} parameter(0)
  %f = bf16[128,64]{1,0} fusion(%x), kind=kLoop, calls=%fused_computation
  %s = ((bf16[128,64]{1,0}), bf16[32,64]{1,0:S(1)}, s32[]) async-start(%f), calls=%async_computation
  %d = bf16[32,64]{1,0:S(1)} async-done(%s)
  %c = (bf16[128,64]{1,0:S(1)}, bf16[128,64]{1,0}, u32[]) copy-start(%f)
  %cd = bf16[128,64]{1,0:S(1)} copy-done(%c)
  %r = (f32[16]{0}, f32[4]{0}) all-reduce-start(%p, %q), channel_id=1, to_apply=%add
  ROOT %out = bf16[128,64]{1,0} fusion(%cd), kind=kLoop, calls=%fused_computation
}
"""


def test_hbm_traffic_leaves_out_the_memory_of_the_chip():
    whole, part = 2 * 128 * 64, 2 * 32 * 64
    reduced = 4 * (16 + 4)
    # The first fusion reads and writes, the slice and the copy read, the last fusion writes.
    assert Program(TPU_TEXT).hbm_traffic() == 2 * whole + part + whole + whole + reduced


def test_other_text_is_refused():
    with pytest.raises(ValueError, match="no ENTRY"):
        Program("module @jit_step {}")
