"""Kernels as XLA's compiler for TPUs takes them, at sizes of the network; nothing runs."""

import functools

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from mobilenet.ahead.topology import describe_slice, has_libtpu
from mobilenet.ops.fused.backward import expand_and_convolve_gradient
from mobilenet.ops.fused.forward import expand_and_convolve
from mobilenet.ops.fused.geometry import Geometry, make_axis
from mobilenet.runtime.mesh import make_mesh

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not has_libtpu(), reason="libtpu is not installed: pip install -e '.[tpu]'"),
]
IMAGES = 128


@pytest.mark.parametrize("slice_name", ["v5e:2x2", "v5p:2x2x1", "v6e:2x2"])
@pytest.mark.parametrize(
    ("size", "channels", "expanded", "stride"),
    [(112, 16, 96, 2), (56, 24, 144, 1), (7, 160, 960, 1)],
)
def test_a_tpu_takes_the_kernels(slice_name, size, channels, expanded, stride):
    mesh = make_mesh(describe_slice(slice_name).devices[:1])
    array = functools.partial(jax.ShapeDtypeStruct, sharding=NamedSharding(mesh, PartitionSpec()))
    axis = make_axis(size, 3, stride, 1, "same")
    geometry = Geometry(axis, axis)
    inputs = (
        array((size, size, channels, IMAGES), jnp.bfloat16),
        array((channels, expanded), jnp.bfloat16),
        array((expanded,), jnp.float32),
        array((expanded, 9), jnp.float32),
    )
    result = array((axis.outputs, axis.outputs, expanded, IMAGES), jnp.bfloat16)
    forward = jax.jit(functools.partial(expand_and_convolve, geometry, "relu6"))
    backward = jax.jit(functools.partial(expand_and_convolve_gradient, geometry, "relu6"))
    compiled = forward.lower(*inputs).compile()
    # What is read and written, and no copies of either.
    assert compiled.memory_analysis().temp_size_in_bytes < result.size
    factors = array((expanded, 3), jnp.float32)
    assert "tpu_custom_call" in compiled.as_text()
    compiled = backward.lower(*inputs, result, result, factors).compile()
    assert "tpu_custom_call" in compiled.as_text()
