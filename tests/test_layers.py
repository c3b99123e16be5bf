"""Normalisation in every mode and type, dropout, and the first values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from mobilenet.errors import UserError
from mobilenet.initialization import initialize
from mobilenet.layers import BatchNorm, Classifier
from mobilenet.models import create_model


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


def _classifier():
    classifier = initialize(Classifier(1000, 10, dropout=0.2), seed=0)
    classifier.kernel.set_value(jnp.ones((1000, 10)))
    return classifier


def test_dropout_drops_its_share_and_keeps_the_mean():
    logits = _classifier()(jnp.ones((4, 1000)), jax.random.key(0))
    kept = np.asarray(logits)[:, 0] * 0.8
    # The number kept of 1000 has a standard deviation of 12.6.
    assert np.all(np.abs(kept - 800) < 5 * 12.6)
    assert len(set(kept)) > 1


def test_dropout_is_off_in_evaluation_and_needs_a_key_in_training():
    classifier = _classifier()
    with pytest.raises(ValueError, match="needs dropout_key"):
        classifier(jnp.ones((1, 1000)))
    classifier.eval()
    np.testing.assert_array_equal(classifier(jnp.ones((1, 1000))), 1000)


def test_first_values_are_those_of_slim():
    flat = nnx.to_flat_state(nnx.state(create_model("mobilenet_v2_050", resolution=32)))
    kernels = np.concatenate([np.ravel(leaf[...]) for path, leaf in flat if path[-1] == "kernel"])
    # A normal distribution cut at two standard deviations has 0.87963 of its own.
    assert kernels.std() == pytest.approx(0.09 * 0.87963, rel=0.005)
    assert 0.1799 < np.abs(kernels).max() <= 0.18
    assert abs(kernels.mean()) < 1e-3
    constants = {"scale": 1, "bias": 0, "mean": 0, "var": 1}
    for path, leaf in flat:
        if path[-1] != "kernel":
            np.testing.assert_array_equal(leaf[...], constants[path[-1]])


def test_bfloat16_reaches_the_convolutions_and_not_the_logits():
    model = create_model("mobilenet_v1_025", 10, resolution=32, depth="shallow", dtype="bfloat16")
    graph, state = nnx.split(model)
    shapes = jax.eval_shape(
        lambda state, x, key: nnx.merge(graph, state).endpoints(x, None, key),
        state,
        jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32),
        jax.random.key(0),
    )
    assert shapes["logits"].dtype == shapes["pool"].dtype == jnp.float32
    assert {s.dtype.name for n, s in shapes.items() if n not in ("pool", "logits")} == {"bfloat16"}
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(state))
