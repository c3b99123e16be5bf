"""Normalisation in every mode and type, and its hand-written gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mobilenet.errors import UserError
from mobilenet.networks.initialization import initialize
from mobilenet.ops.activations import ACTIVATIONS
from mobilenet.ops.normalization import BatchNorm, normalize_groups


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


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_bfloat16_is_normalised_with_float32_statistics(mode):
    norm = _batch_norm()
    # bfloat16 would round these to 20 and 1.
    norm.mean.set_value(jnp.full(3, 20.04))
    norm.var.set_value(jnp.full(3, 1.003))
    getattr(norm, mode)()
    x = jnp.asarray(INPUT, jnp.bfloat16)
    result = norm(x)
    exact = np.asarray(x, np.float64)
    if mode == "train":
        mean, var = exact.mean((0, 1, 2)), exact.var((0, 1, 2))
    else:
        mean, var = 20.04, 1.003
    assert result.dtype == jnp.bfloat16
    # The result is rounded once, to 8 bits.
    np.testing.assert_allclose(
        np.asarray(result, np.float64), _expected(exact, mean, var), rtol=2**-8, atol=2e-3
    )
    assert norm.mean.dtype == norm.var.dtype == jnp.float32
    if mode == "train":
        np.testing.assert_allclose(norm.mean[...], 0.9 * 20.04 + 0.1 * mean, rtol=1e-5)


def test_evaluation_leaves_the_statistics_alone():
    norm = _batch_norm()
    norm.eval()
    result = norm(jnp.asarray(INPUT, jnp.float32))
    np.testing.assert_allclose(result, _expected(INPUT, 0, 1), rtol=1e-5)
    np.testing.assert_array_equal(norm.mean[...], 0)
    np.testing.assert_array_equal(norm.var[...], 1)


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
