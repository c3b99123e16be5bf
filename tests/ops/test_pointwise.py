"""The matrix product against lax's convolution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mobilenet.ops.pointwise import pointwise_conv


def _reference(x, kernel):
    return lax.conv_general_dilated(
        x, kernel[None, None], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("bfloat16", 2**-7)])
def test_value_and_gradients_equal_those_of_a_convolution(dtype, tolerance):
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(0), 3)
        shapes = ((2, 3, 5, 4), (4, 6), (2, 3, 5, 6))
        x, kernel, weights = (
            jax.random.normal(k, s, jnp.float64).astype(dtype)
            for k, s in zip(keys, shapes, strict=True)
        )
        value, pull = jax.vjp(pointwise_conv, x, kernel)
        exact = (a.astype(jnp.float64) for a in (x, kernel))
        expected, expected_pull = jax.vjp(_reference, *exact)
        expected = (expected, *expected_pull(weights.astype(jnp.float64)))
        found = (value, *pull(weights))
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == dtype
        scale = np.abs(b).max()
        np.testing.assert_allclose(np.asarray(a, np.float64), b, atol=tolerance * scale)
