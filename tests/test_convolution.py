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


def _with_gradients(function, x, kernel, weights, **options):
    output, pull = jax.vjp(lambda x, kernel: function(x, kernel, **options), x, kernel)
    return output, pull(weights)


# One program for all: operation by operation, each would be compiled by itself.
_compiled = jax.jit(
    _with_gradients, static_argnums=0, static_argnames=("stride", "dilation", "padding")
)


@pytest.mark.parametrize("channels", [3, 5])
@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
def test_output_and_gradients_are_those_of_lax(channels, padding, stride, dilation):
    rng = np.random.default_rng(0)
    options = {"stride": stride, "dilation": dilation, "padding": padding}
    with jax.enable_x64(True):
        for height, width in SIZES:
            x = rng.normal(size=(2, height, width, channels))
            kernel = rng.normal(size=(3, 3, channels, 4))
            # Both paddings give a map of the input's size, divided by the stride and rounded up.
            weights = rng.normal(size=(2, -(-height // stride), -(-width // stride), 4))
            found, gradients = _compiled(conv, x, kernel, weights, **options)
            expected, expected_gradients = _compiled(_reference, x, kernel, weights, **options)
            assert found.dtype == np.float64
            np.testing.assert_allclose(found, expected, atol=1e-12)
            for ours, theirs in zip(gradients, expected_gradients, strict=True):
                np.testing.assert_allclose(ours, theirs, atol=1e-11)


def test_accelerators_get_the_convolution_itself():
    x, kernel = jnp.zeros((1, 8, 8, 3)), jnp.zeros((3, 3, 3, 4))
    for platform, count in (("tpu", 1), ("cuda", 1), ("cpu", 0)):
        text = jax.jit(conv).trace(x, kernel).lower(lowering_platforms=(platform,)).as_text()
        assert text.count("stablehlo.convolution") == count, platform
