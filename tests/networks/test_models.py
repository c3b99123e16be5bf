"""The built networks: names, endpoints, shortcuts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from mobilenet.errors import UserError
from mobilenet.factory import create_model


def _compiled(model):
    """The evaluation of a model as one compiled function (images, names) -> endpoints."""
    model.eval()
    graph, state = nnx.split(model)

    @functools.partial(jax.jit, static_argnums=2)
    def endpoints(state, images, names):
        return nnx.merge(graph, state).endpoints(images, names)

    return functools.partial(endpoints, state)


@pytest.fixture(scope="module")
def small():
    return create_model("mobilenet_v2_025", 7, resolution=32)


@pytest.fixture(scope="module")
def found(small):
    """All endpoints of `small`, for images of noise."""
    images = jax.random.normal(jax.random.key(0), (2, 32, 32, 3))
    return _compiled(small)(images, None)


def test_endpoints_come_by_name(small, found):
    assert set(found) == set(small.architecture.endpoints())
    # The first 160-channel block expands at an output stride of 16 (V2 section 6.2).
    assert found["block_14/expand"].shape == (2, 2, 2, 6 * 24)
    assert found["head"].shape == (2, 1, 1, 1280)
    assert found["logits"].shape == (2, 7)
    assert found["logits"].dtype == jnp.float32


def test_pixels_of_integer_types_are_scaled_as_slim_does():
    model = create_model("mobilenet_v1_025", 7, resolution=32, depth="shallow")
    run = _compiled(model)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    scaled = pixels.astype(np.float32) / 127.5 - 1
    a, b, c = (
        run(jnp.asarray(x), ("logits",))["logits"]
        for x in (pixels, pixels.astype(np.int32), scaled)
    )
    np.testing.assert_allclose(a, c, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(a, b)


def test_pixels_that_nobody_scaled_are_refused(small):
    pixels = jnp.full((1, 32, 32, 3), 200.0)
    with pytest.raises(UserError, match=r"hold 200, and .* at most 1\.00: pass .* such as uint8"):
        small(pixels)


def test_an_unknown_endpoint_is_named(small):
    with pytest.raises(UserError, match="endpoint 'tail': mobilenet_v2 has only stem/conv, stem,"):
        small.endpoints(jnp.ones((1, 32, 32, 3)), ("tail",))


def test_without_classes_the_pooled_features_come_out():
    model = create_model("mobilenet_v1_025", 0, resolution=32, depth="shallow")
    images = jax.random.normal(jax.random.key(0), (2, 32, 32, 3))
    found = _compiled(model)(images, None)
    assert "logits" not in found
    assert found["pool"].shape == (2, 256)
    np.testing.assert_allclose(found["pool"], found["block_8"].mean((1, 2)), rtol=1e-5)


def test_a_residual_adds_the_input(small, found):
    assert small.architecture.blocks[3].shortcut == "bottleneck"
    expected = found["block_2"] + found["block_3/project"]
    np.testing.assert_allclose(found["block_3"], expected, rtol=1e-5, atol=1e-6)


def test_a_shortcut_between_expansions_is_added_before_the_activation():
    knobs = {"resolution": 32, "shortcut": "expansion"}
    images = jax.random.normal(jax.random.key(0), (1, 32, 32, 3))
    names = ("block_3/expand", "block_3", "block_4/expand")
    model = create_model("mobilenet_v2_025", 7, **knobs)
    found = _compiled(model)(images, names)
    expand = model.block_4.expand
    kernel = np.asarray(expand.kernel[...], np.float64)[0, 0]
    # At initialisation the moving statistics are 0 and 1.
    plain = np.asarray(found["block_3"], np.float64) @ kernel / np.sqrt(1 + 0.001)
    expected = np.clip(plain + np.asarray(found["block_3/expand"], np.float64), 0, 6)
    np.testing.assert_allclose(found["block_4/expand"], expected, rtol=1e-4, atol=1e-5)


def test_the_seed_decides_the_parameters():
    first, again, other = (
        jax.tree.leaves(nnx.state(create_model("mobilenet_v1_025", 7, seed=seed), nnx.Param))
        for seed in (0, 0, 1)
    )
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


def test_a_profile_names_the_blocks(small):
    graph, state = nnx.split(small)
    lowered = jax.jit(lambda state, x: nnx.merge(graph, state)(x)).lower(
        state, jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    )
    text = lowered.as_text(debug_info=True)
    assert all(f"/{block.name}/" in text for block in small.architecture.blocks)
