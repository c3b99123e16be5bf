"""The convolution of few channels against lax's, on every side of the kernel's edge."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mobilenet.convolution import conv

SIZES = [(8, 8), (7, 9), (5, 12)]


def _reference(x, kernel, stride, dilation, padding):
    if padding == "same":
        pads = "SAME"
    else:
        pads = [(dilation * (side - 1) // 2,) * 2 for side in kernel.shape[:2]]
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        pads,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


@pytest.mark.parametrize("channels", [3, 5])
@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
def test_output_and_gradients_are_those_of_lax(channels, padding, stride, dilation):
    keys = jax.random.split(jax.random.key(0), 3)
    with jax.enable_x64(True):
        for size in SIZES:
            x = jax.random.normal(keys[0], (2, *size, channels), jnp.float64)
            kernel = jax.random.normal(keys[1], (3, 3, channels, 4), jnp.float64)
            options = {"stride": stride, "dilation": dilation, "padding": padding}
            found, pull = jax.vjp(lambda x, k, o=options: conv(x, k, **o), x, kernel)
            expected, pull_expected = jax.vjp(
                lambda x, k, o=options: _reference(x, k, **o), x, kernel
            )
            np.testing.assert_allclose(found, expected, atol=1e-12)
            weights = jax.random.normal(keys[2], expected.shape, jnp.float64)
            for ours, theirs in zip(pull(weights), pull_expected(weights), strict=True):
                np.testing.assert_allclose(ours, theirs, atol=1e-11)


def test_accelerators_get_the_convolution_itself():
    x, kernel = jnp.zeros((1, 8, 8, 3)), jnp.zeros((3, 3, 3, 4))
    for platform, count in (("tpu", 1), ("cuda", 1), ("cpu", 0)):
        text = jax.jit(conv).trace(x, kernel).lower(lowering_platforms=(platform,)).as_text()
        assert text.count("stablehlo.convolution") == count, platform
