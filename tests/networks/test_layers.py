"""Dropout, the types inside the network, and the first values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from mobilenet.factory import create_model
from mobilenet.networks.initialization import initialize
from mobilenet.networks.layers import Classifier


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
