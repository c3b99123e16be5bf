"""The moving average against TensorFlow's documented formula, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mobilenet.errors import ConfigError
from mobilenet.training.ema import check_ema_decay, update_ema


@pytest.mark.parametrize("decay", [0.3, 0.9999])
def test_equals_the_documented_formula_step_by_step(decay):
    values = np.random.default_rng(0).normal(size=(40, 3))
    expected = values[0].copy()
    ema = {"params": jnp.asarray(values[0], jnp.float32)}
    for step, value in enumerate(values):
        d = min(decay, (1 + step) / (10 + step))
        expected = d * expected + (1 - d) * value
        ema = jax.jit(update_ema, static_argnums=2)(
            ema, {"params": jnp.asarray(value, jnp.float32)}, decay, jnp.int32(step)
        )
    np.testing.assert_allclose(ema["params"], expected, rtol=1e-5, atol=1e-6)


def test_late_in_a_run_the_share_of_the_new_value_is_exact():
    # In float32, 1 - 0.9999 is 0.017 % too large.
    ema = update_ema(jnp.zeros(()), jnp.ones(()), 0.9999, 10_000_000)
    assert float(ema) == pytest.approx(1e-4, rel=1e-6)


def test_averages_statistics_beside_parameters_and_keeps_dtypes():
    tree = ({"kernel": jnp.zeros(2)}, {"mean": jnp.zeros(3, jnp.bfloat16)})
    new = jax.tree.map(jnp.ones_like, tree)
    ema = update_ema(tree, new, 0.9999, 0)
    assert [leaf.dtype for leaf in jax.tree.leaves(ema)] == [jnp.float32, jnp.bfloat16]
    for leaf in jax.tree.leaves(ema):
        np.testing.assert_allclose(leaf.astype(jnp.float32), 0.9, rtol=1e-2)


@pytest.mark.parametrize("decay", [1.0, -0.1, "0.9", True, float("nan")])
def test_refuses_a_decay_that_is_no_average(decay):
    for fine in (None, 0.0, 0, 0.9999):
        check_ema_decay(fine)
    with pytest.raises(ConfigError, match=r"config\.ema_decay must be .* not "):
        check_ema_decay(decay)
