"""A function over parts of a batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from mobilenet.ops.chunks import apply_in_chunks

# Tests run with eight devices, and a part has four images of 224 pixels for each.
PART = 32


def _sums(seen):
    def function(images):
        seen.append(images.shape[0])
        return images.sum((1, 2))

    return function


def _images(count, side):
    return jnp.asarray(np.random.default_rng(0).integers(0, 9, (count, side, side, 1)), jnp.float32)


@pytest.mark.parametrize(
    ("count", "side", "part"),
    [(64, 224, PART), (16, 224, 16), (34, 224, 34), (72, 224, 36), (64, 448, 8), (64, 32, 64)],
)
def test_every_image_gets_its_own_result(count, side, part):
    images, seen = _images(count, side), []
    result = apply_in_chunks(_sums(seen), images)
    np.testing.assert_array_equal(result, np.asarray(images).sum((1, 2)))
    assert part in seen
    assert set(seen) <= {part, count}


def test_only_a_cpu_runs_in_parts():
    images = jax.ShapeDtypeStruct((64, 224, 224, 1), jnp.float32)
    traced = jax.jit(lambda images: apply_in_chunks(_sums([]), images)).trace(images)
    for platform, loops in (("cpu", 1), ("tpu", 0), ("cuda", 0)):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert text.count("stablehlo.while") == loops, platform


def test_a_batch_split_over_devices_stays_split():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    images = jax.device_put(_images(64, 224), NamedSharding(mesh, PartitionSpec("data")))
    compiled = jax.jit(lambda images: apply_in_chunks(_sums([]), images)).lower(images).compile()
    text = compiled.as_text()
    assert not any(word in text for word in ("all-gather", "all-to-all", "collective-permute"))
    np.testing.assert_array_equal(compiled(images), np.asarray(images).sum((1, 2)))
