"""The network on several devices, each alone with its groups of images, against one device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from mobilenet.factory import create_model
from mobilenet.networks.architecture import V1_ROWS
from mobilenet.networks.functional import split_model
from mobilenet.runtime.mesh import make_mesh


def test_devices_apart_find_the_gradient_and_statistics_of_one_device(monkeypatch):
    monkeypatch.setattr("mobilenet.networks.architecture.V1_ROWS", V1_ROWS[:2])
    knobs = {"width": 0.25, "resolution": 8, "norm_group_size": 2, "dropout": 0.5}
    model = create_model("mobilenet_v1", num_classes=3, **knobs)
    mesh = make_mesh()
    alone, params, batch_stats = split_model(model)
    apart, _, _ = split_model(model, mesh)
    images = jax.random.normal(jax.random.key(1), (32, 8, 8, 3))
    weights = jax.random.normal(jax.random.key(2), (32, 3))

    def gradient(functions, placed):
        def loss(params):
            logits, statistics = functions.train(params, batch_stats, placed, jax.random.key(3))
            return (logits * weights).sum(), (logits, statistics)

        return jax.device_get(jax.jit(jax.grad(loss, has_aux=True))(params))

    split = jax.device_put(images, NamedSharding(mesh, PartitionSpec("data")))
    expected, found = gradient(alone, images), gradient(apart, split)
    for (path, one), (_, other) in zip(
        *map(jax.tree.leaves_with_path, (expected, found)), strict=True
    ):
        scale = max(np.abs(one).max(), 1e-3)
        np.testing.assert_allclose(other, one, atol=1e-4 * scale, err_msg=str(path))


def test_features_come_out_of_a_network_without_classes_on_devices_apart():
    model = create_model("mobilenet_v1", num_classes=0, width=0.25, norm_group_size=2)
    images = jax.ShapeDtypeStruct((32, 32, 32, 3), jnp.float32)
    for mesh in (None, make_mesh()):
        functions, params, batch_stats = split_model(model, mesh)
        key = jax.random.key(0)
        pooled, _ = jax.eval_shape(functions.train, params, batch_stats, images, key)
        assert pooled.shape == (32, 256)


def test_a_batch_that_does_not_fill_the_groups_of_a_device_is_refused():
    model = create_model("mobilenet_v1", num_classes=3, width=0.25, norm_group_size=3)
    functions, params, batch_stats = split_model(model, make_mesh())
    images = jax.ShapeDtypeStruct((32, 32, 32, 3), jnp.float32)
    with pytest.raises(Exception, match="norm_group_size=3 does not divide a batch of 4 images"):
        jax.eval_shape(functions.train, params, batch_stats, images, jax.random.key(0))
