"""Logits of a network, and how far they are from another library's."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

_RTOL = 1e-4  # of the largest logit


def evaluate(model, images):
    """Returns the logits in evaluation mode; networks alike are compiled once."""
    model.eval()
    return np.asarray(_logits(*nnx.split(model), jnp.asarray(images)))


@functools.partial(jax.jit, static_argnums=0)
def _logits(graph, state, images):
    return nnx.merge(graph, state)(images)


def compare(record_property, ours, expected, what):
    """Asserts that logits agree, and says by how much."""
    assert ours.shape == expected.shape
    largest = np.abs(expected).max()
    difference = np.abs(ours - expected).max() / largest
    # Logits that show nothing of the image would agree whatever we do.
    assert np.ptp(expected, axis=0).max() > 1e-3 * largest
    record_property("difference", f"{difference:.1e}")
    print(f"{what}: {difference:.1e}")
    assert difference < _RTOL
