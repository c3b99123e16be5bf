"""Optimizers against a few steps of their sources' formulas, computed in NumPy float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mobilenet import config as base
from mobilenet.errors import ConfigError
from mobilenet.training.optimizer import decay_mask, make_optimizer

# It changes every step, so a rate on the wrong side of the momentum shows.
_RATES = np.array([0.5, 0.1, 0.3, 0.02, 0.4])
_STEPS = len(_RATES)


def _optimizer(**keys):
    optimizer = base.get_config().optimizer
    optimizer.update(weight_decay=0.0)
    optimizer.update(keys)
    return optimizer


def _run(optimizer, weights, gradients):
    """Returns the weights after every step: float64 [steps, n]."""
    params = {"classifier": {"kernel": jnp.asarray(weights, jnp.float32)}}
    transform = make_optimizer(
        optimizer, lambda step: jnp.asarray(_RATES, jnp.float32)[step], params, ("logits",)
    )
    state = transform.init(params)
    history = []
    for gradient in gradients:
        gradient = {"classifier": {"kernel": jnp.asarray(gradient, jnp.float32)}}
        updates, state = jax.jit(transform.update)(gradient, state, params)
        params = optax.apply_updates(params, updates)
        history.append(np.asarray(params["classifier"]["kernel"], np.float64))
    return np.stack(history)


@pytest.fixture
def weights():
    return np.array([0.7, -1.2, 0.05])


@pytest.fixture
def gradients():
    return np.random.default_rng(1).normal(size=(_STEPS, 3))


@pytest.mark.parametrize("epsilon", [None, 1.0, 1e-3])
def test_rmsprop_is_tensorflows(weights, gradients, epsilon):
    optimizer = _optimizer(
        name="rmsprop", rms_decay=0.9, momentum=0.8, epsilon=epsilon, weight_decay=0.01
    )
    w, s, m, expected = weights.copy(), np.ones(3), np.zeros(3), []
    for rate, gradient in zip(_RATES, gradients, strict=True):
        g = gradient + 0.01 * w
        s = 0.9 * s + 0.1 * g**2
        m = 0.8 * m + rate * g / np.sqrt(s + (1.0 if epsilon is None else epsilon))
        w = w - m
        expected.append(w)
    np.testing.assert_allclose(_run(optimizer, weights, gradients), expected, rtol=2e-5)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_has_the_rate_outside_the_momentum(weights, gradients, nesterov):
    optimizer = _optimizer(name="sgd", momentum=0.9, nesterov=nesterov, weight_decay=0.1)
    w, v, expected = weights.copy(), np.zeros(3), []
    for rate, gradient in zip(_RATES, gradients, strict=True):
        g = gradient + 0.1 * w
        v = 0.9 * v + g
        w = w - rate * (g + 0.9 * v if nesterov else v)
        expected.append(w)
    np.testing.assert_allclose(_run(optimizer, weights, gradients), expected, rtol=2e-5)


def test_adamw_decays_apart_from_the_moments(weights, gradients):
    optimizer = _optimizer(name="adamw", beta1=0.8, beta2=0.95, weight_decay=0.1)
    w, m, v, expected = weights.copy(), np.zeros(3), np.zeros(3), []
    for t, (rate, g) in enumerate(zip(_RATES, gradients, strict=True), start=1):
        m = 0.8 * m + 0.2 * g
        v = 0.95 * v + 0.05 * g**2
        step = (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-8)
        w = w - rate * (step + 0.1 * w)
        expected.append(w)
    np.testing.assert_allclose(_run(optimizer, weights, gradients), expected, rtol=5e-5)


@pytest.mark.parametrize(("size", "scale"), [(50.0, 1 / 25), (0.5, 1.0)])
def test_a_large_gradient_is_clipped_as_a_whole_and_weight_decay_is_not(weights, size, scale):
    optimizer = _optimizer(name="sgd", momentum=0.0, clip_norm=2.0, weight_decay=0.1)
    gradient = size * np.array([0.6, 0.8, 0.0])
    expected = weights - 0.5 * (gradient * scale + 0.1 * weights)
    np.testing.assert_allclose(_run(optimizer, weights, [gradient])[0], expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adamw"])
def test_the_body_learns_at_its_share_of_the_rate(name):
    # The same numbers in the body and in the classifier, so that only the rate differs.
    params = {part: {"kernel": jnp.array([0.7, -1.2])} for part in ("stem", "logits")}
    gradients = [jax.tree.map(lambda x, k=k: x * k + 0.1, params) for k in (1.0, -0.5, 2.0)]
    moved = {}
    for rate in (1.0, 0.25, 0.0):
        optimizer = _optimizer(name=name, weight_decay=0.1, body_rate=rate)
        transform = make_optimizer(optimizer, optax.constant_schedule(0.1), params, ("logits",))
        state, moved[rate] = transform.init(params), []
        for gradient in gradients:
            updates, state = transform.update(gradient, state, params)
            moved[rate].append(updates)
    for whole, share, frozen in zip(*moved.values(), strict=True):
        np.testing.assert_array_equal(whole["stem"]["kernel"], whole["logits"]["kernel"])
        np.testing.assert_array_equal(share["logits"]["kernel"], whole["logits"]["kernel"])
        np.testing.assert_array_equal(share["stem"]["kernel"], whole["stem"]["kernel"] / 4)
        assert not frozen["stem"]["kernel"].any()


_PARAMS = {
    "stem": {"conv": {"kernel": 0}, "norm": {"scale": 0, "bias": 0}},
    "block_1": {"depthwise": {"kernel": 0}, "depthwise_norm": {"scale": 0, "bias": 0}},
    "classifier": {"kernel": 0, "bias": 0},
}


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adamw"])
def test_only_parameters_under_the_rule_shrink(name):
    params = jax.tree.map(lambda _: jnp.ones(2), _PARAMS)
    optimizer = _optimizer(name=name, weight_decay=0.1, weight_decay_on="dense_kernels")
    transform = make_optimizer(optimizer, optax.constant_schedule(0.1), params, ("logits",))
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = transform.update(zeros, transform.init(params), params)
    shrunk = jax.tree.map(lambda update: bool((update < 0).all()), updates)
    assert shrunk == decay_mask(params, "dense_kernels")


def test_a_parameter_without_a_rule_is_an_error():
    with pytest.raises(ValueError, match="covers the parameter attention/query"):
        decay_mask({"attention": {"query": jnp.zeros(1)}}, "all")


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"name": "lamb"}, "name must be one of sgd, rmsprop, adamw, not 'lamb'"),
        ({"weight_decay_on": "conv"}, "must be one of all, kernels, dense_kernels, not 'conv'"),
        ({"momentum": 1.0}, r"momentum must be at least 0 and below 1, not 1\.0"),
        ({"rms_decay": -0.1}, "rms_decay must be"),
        ({"beta2": 1.0}, "beta2 must be"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0"),
        ({"body_rate": 1.5}, r"body_rate must be from 0 to 1, not 1\.5"),
        ({"epsilon": 0.0}, "epsilon must be above 0, or None"),
        ({"clip_norm": "none"}, "clip_norm must be above 0, or None for no clipping, not 'none'"),
    ],
)
def test_wrong_values_are_named(keys, sentence):
    params = {"classifier": {"kernel": jnp.zeros(1)}}
    with pytest.raises(ConfigError, match=sentence):
        make_optimizer(_optimizer(**keys), optax.constant_schedule(0.1), params, ("logits",))
