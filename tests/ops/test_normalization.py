"""The hand-written gradient of normalisation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mobilenet.ops.activations import ACTIVATIONS
from mobilenet.ops.normalization import normalize_groups

# Off centre, so that the variance is a small difference of large numbers.
INPUT = 20 + np.random.default_rng(0).normal(size=(8, 4, 5, 3))


@pytest.mark.parametrize("activation", ["linear", "relu6"])
@pytest.mark.parametrize("groups", [1, 4])
def test_the_gradient_is_that_of_the_definition(groups, activation):
    """Compared in float64 with JAX's gradient of the textbook formula."""
    with jax.enable_x64(True):
        x = jnp.asarray(INPUT).reshape(groups, 8 // groups, 4, 5, 3)
        scale, bias = jnp.array([1.0, 2.0, 0.5]), jnp.array([0.0, -1.0, 3.0])
        weights = jax.random.normal(jax.random.key(0), x.shape, x.dtype)

        def textbook(x, scale, bias):
            axes = (1, 2, 3)
            mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
            one = (None,) * 4
            normalized = (x - mean) / jnp.sqrt(var + 1e-3) * scale[one] + bias[one]
            return ACTIVATIONS[activation](normalized)

        def ours(x, scale, bias):
            return normalize_groups(x, scale, bias, 1e-3, activation)[0]

        def loss(function, *arguments):
            return (weights * jnp.sin(function(*arguments))).sum()

        expected = jax.jit(jax.grad(lambda *a: loss(textbook, *a), (0, 1, 2)))(x, scale, bias)
        found = jax.jit(jax.grad(lambda *a: loss(ours, *a), (0, 1, 2)))(x, scale, bias)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)
