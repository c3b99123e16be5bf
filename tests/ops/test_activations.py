"""Activations and where they let gradients through."""

import jax.numpy as jnp
import numpy as np
import pytest

from mobilenet.ops.activations import ACTIVATIONS, passes


@pytest.mark.parametrize(
    ("activation", "values", "gates"),
    [
        ("linear", [-1, 0, 3, 6, 7], [True, True, True, True, True]),
        ("relu", [0, 0, 3, 6, 7], [False, False, True, True, True]),
        ("relu6", [0, 0, 3, 6, 6], [False, False, True, False, False]),
    ],
)
def test_values_and_gates(activation, values, gates):
    x = jnp.array([-1.0, 0.0, 3.0, 6.0, 7.0])
    np.testing.assert_array_equal(ACTIVATIONS[activation](x), values)
    np.testing.assert_array_equal(passes(x, activation), gates)
