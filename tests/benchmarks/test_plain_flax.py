"""The plain Flax network computes what ours does, from the same weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from benchmarks.plain_flax import PlainMobileNet
from mobilenet.factory import create_model
from mobilenet.networks.architecture import V1_ROWS, V2_ROWS


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2"])
def test_logits_equal_ours(name, monkeypatch):
    # With and without an expansion, a stride and a shortcut; the blocks left out repeat these.
    monkeypatch.setattr("mobilenet.networks.architecture.V1_ROWS", V1_ROWS[:5])
    monkeypatch.setattr("mobilenet.networks.architecture.V2_ROWS", (*V2_ROWS[:3], V2_ROWS[-1]))
    ours = create_model(name, num_classes=7, width=0.25, resolution=32, dropout=0.0)
    # Flax compiles its initialisers shape by shape; all values are replaced anyway.
    plain = nnx.eval_shape(lambda: PlainMobileNet(ours.architecture, jnp.dtype("float32")))
    layers = iter(zip(plain.convolutions, plain.norms, strict=True))
    rng = np.random.default_rng(0)
    for block in ours.architecture.blocks:
        for layer in block.layers:
            convolution, norm = next(layers)
            source = getattr(getattr(ours, block.name), layer.name)
            source.norm.mean[...] = jnp.asarray(rng.normal(0, 0.1, layer.out_channels), jnp.float32)
            convolution.kernel.set_value(source.kernel[...])
            for value in ("scale", "bias", "mean", "var"):
                getattr(norm, value).set_value(getattr(source.norm, value)[...])
    plain.logits.kernel.set_value(ours.logits.kernel[...])
    plain.logits.bias.set_value(ours.logits.bias[...])
    images = jax.random.normal(jax.random.key(0), (2, 32, 32, 3))
    ours.eval()
    plain.eval()
    expected = nnx.jit(lambda model, images: model(images))(ours, images)
    found = nnx.jit(lambda model, images: model(images))(plain, images)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
