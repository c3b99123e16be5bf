"""Batch normalisation in training, in every type and by groups."""

import jax.numpy as jnp
import numpy as np
import pytest

from mobilenet.errors import UserError
from mobilenet.networks.initialization import initialize
from mobilenet.networks.layers import BatchNorm


def _batch_norm(**options):
    norm = initialize(BatchNorm(3, epsilon=1e-3, momentum=0.9, **options), seed=0)
    norm.scale.set_value(jnp.array([1.0, 2.0, 0.5]))
    norm.bias.set_value(jnp.array([0.0, -1.0, 3.0]))
    return norm


# Off centre, so that the variance is a small difference of large numbers.
INPUT = 20 + np.random.default_rng(0).normal(size=(8, 4, 5, 3))


def _expected(x, mean, var):
    return (x - mean) / np.sqrt(var + 1e-3) * np.array([1.0, 2.0, 0.5]) + np.array([0, -1, 3.0])


def test_training_normalises_with_the_batch_and_moves_the_statistics():
    norm = _batch_norm()
    result = norm(jnp.asarray(INPUT, jnp.float32))
    x = INPUT.astype(np.float32).astype(np.float64)
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    np.testing.assert_allclose(result, _expected(x, mean, var), atol=2e-3)
    np.testing.assert_allclose(norm.mean[...], 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(norm.var[...], 0.9 + 0.1 * var, rtol=1e-4)


def test_bfloat16_is_normalised_with_float32_statistics():
    norm = _batch_norm()
    # bfloat16 would round these to 20 and 1.
    norm.mean.set_value(jnp.full(3, 20.04))
    norm.var.set_value(jnp.full(3, 1.003))
    x = jnp.asarray(INPUT, jnp.bfloat16)
    result = norm(x)
    exact = np.asarray(x, np.float64)
    mean, var = exact.mean((0, 1, 2)), exact.var((0, 1, 2))
    assert result.dtype == jnp.bfloat16
    # The result is rounded once, to 8 bits.
    np.testing.assert_allclose(
        np.asarray(result, np.float64), _expected(exact, mean, var), rtol=2**-8, atol=2e-3
    )
    assert norm.mean.dtype == norm.var.dtype == jnp.float32
    np.testing.assert_allclose(norm.mean[...], 0.9 * 20.04 + 0.1 * mean, rtol=1e-5)


def test_groups_are_normalised_apart():
    norm = _batch_norm(group_size=2)
    x = jnp.asarray(INPUT, jnp.float32)
    result = norm(x)
    parts = [_batch_norm() for _ in range(4)]
    expected = [part(x[2 * i : 2 * i + 2]) for i, part in enumerate(parts)]
    np.testing.assert_allclose(result, np.concatenate(expected), atol=1e-5)
    for name in ("mean", "var"):
        mean = np.mean([getattr(part, name)[...] for part in parts], axis=0)
        np.testing.assert_allclose(getattr(norm, name)[...], mean, rtol=1e-5)


def test_a_group_size_that_does_not_divide_is_named():
    with pytest.raises(UserError, match="norm_group_size=3 does not divide a batch of 8 images"):
        _batch_norm(group_size=3)(jnp.asarray(INPUT, jnp.float32))
