"""The convolution of few channels against lax's, on every side of the kernel's edge."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mobilenet.ops.convolution import conv

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


@functools.partial(jax.jit, static_argnums=0, static_argnames=("stride", "dilation", "padding"))
def _of_all(function, cases, **options):
    """One program for all cases: each has its price, and operations by themselves even more."""
    return [_with_gradients(function, *case, **options) for case in cases]


@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
def test_output_and_gradients_are_those_of_lax(padding, stride, dilation):
    rng = np.random.default_rng(0)
    options = {"stride": stride, "dilation": dilation, "padding": padding}
    cases = [
        (
            rng.normal(size=(2, height, width, channels)),
            rng.normal(size=(3, 3, channels, 4)),
            # Both paddings give a map of the input's size, divided by the stride and rounded up.
            rng.normal(size=(2, -(-height // stride), -(-width // stride), 4)),
        )
        for channels in (3, 5)
        for height, width in SIZES
    ]
    with jax.enable_x64(True):
        results = _of_all(conv, cases, **options)
        references = _of_all(_reference, cases, **options)
    for case, (found, gradients), (expected, expected_gradients) in zip(
        cases, results, references, strict=True
    ):
        assert found.dtype == np.float64
        shapes = str([array.shape for array in case])
        np.testing.assert_allclose(found, expected, atol=1e-12, err_msg=shapes)
        for ours, theirs in zip(gradients, expected_gradients, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-11, err_msg=shapes)


def test_accelerators_get_the_convolution_itself():
    x, kernel = jnp.zeros((1, 8, 8, 3)), jnp.zeros((3, 3, 3, 4))
    for platform, count in (("tpu", 1), ("cuda", 1), ("cpu", 0)):
        text = jax.jit(conv).trace(x, kernel).lower(lowering_platforms=(platform,)).as_text()
        assert text.count("stablehlo.convolution") == count, platform
