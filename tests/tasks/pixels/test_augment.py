"""Normalisation, flips, and the order of all changes on the device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mobilenet.errors import ConfigError
from mobilenet.networks.preprocessing import normalize
from mobilenet.runtime.mesh import make_mesh, replicated, split_over_images
from mobilenet.tasks.choose import choose_task
from mobilenet.tasks.classification.mixing import mix
from mobilenet.tasks.pixels.augment import random_flip
from mobilenet.tasks.pixels.color import distort_color
from mobilenet.tasks.pixels.erasing import random_erase
from mobilenet.tasks.task import split_key
from tests.helpers.small_config import get_config

_SCALE = ((127.5,) * 3, (127.5,) * 3)
_ALL = {"color": "slim_fast", "erase_probability": 0.5, "cutmix_alpha": 1.0}


def _images(number):
    return np.random.default_rng(0).integers(0, 256, (number, 5, 7, 3), dtype=np.uint8)


def _task(**changes):
    config = get_config()
    config.augment.update(changes)
    return choose_task(config)


def _batch(number):
    return {
        "images": jnp.asarray(_images(number)),
        "labels": jnp.arange(number, dtype=jnp.int32) % 3,
        "mask": jnp.ones(number),
    }


def test_normalises_each_channel_by_its_own_numbers():
    images = _images(2)
    mean, stddev = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    expected = (images.astype(np.float64) - np.array(mean)) / np.array(stddev)
    result = normalize(jnp.asarray(images), mean, stddev)
    assert result.dtype == jnp.float32
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6)


def test_flips_whole_images_left_to_right_with_probability_one_half():
    images = _images(400)
    result, again, other = (
        np.asarray(random_flip(jnp.asarray(images), jax.random.key(seed))) for seed in (3, 3, 1)
    )
    mirrored = (result == images[:, :, ::-1]).all((1, 2, 3))
    same = (result == images).all((1, 2, 3))
    assert (mirrored ^ same).all()
    # Four standard deviations of a fair coin.
    assert abs(mirrored.sum() - 200) < 40
    np.testing.assert_array_equal(result, again)
    assert not np.array_equal(result, other)


def test_without_any_change_the_images_are_only_normalised():
    batch, task = _batch(8), _task(flip=False)
    prepared = task.prepare(batch, split_key(jax.random.key(0)))
    assert prepared.keys() == batch.keys()
    np.testing.assert_array_equal(prepared["images"], normalize(batch["images"], *_SCALE))


def test_the_order_is_flip_color_erasing_mixing_normalisation():
    batch, keys = _batch(8), split_key(jax.random.key(4))
    prepared = jax.jit(_task(**_ALL).prepare)(batch, keys)
    expected, mixture = _in_order(batch, keys)
    # Fused in another way, a product and a sum may round differently.
    np.testing.assert_allclose(prepared["images"], expected, atol=1e-5)
    np.testing.assert_array_equal(prepared["others"], mixture.others)
    np.testing.assert_array_equal(prepared["shares"], mixture.shares)


@jax.jit
def _in_order(batch, keys):
    expected = random_flip(batch["images"], keys["flip"]).astype(jnp.float32)
    expected = distort_color(expected, keys["color"])
    expected = random_erase(expected, keys["erase"], probability=0.5, fill=_SCALE[0])
    options = {"mixup_alpha": 0.0, "cutmix_alpha": 1.0, "probability": 1.0}
    expected, mixture = mix(expected, batch["labels"], batch["mask"], keys["mix"], **options)
    return normalize(expected, *_SCALE), mixture


def test_what_is_erased_is_zero_for_the_network():
    task = _task(erase_probability=1.0, mean=(1.0, 2.0, 3.0), stddev=(4.0, 5.0, 6.0))
    batch = _batch(64) | {"images": jnp.full((64, 16, 16, 3), 200, jnp.uint8)}
    prepared = jax.jit(task.prepare)(batch, split_key(jax.random.key(0)))
    is_zero = np.asarray(prepared["images"] == 0).all(-1)
    assert is_zero.any((1, 2)).all()
    assert not is_zero.all((1, 2)).any()


def test_keys_that_come_later_leave_the_first_as_they_were():
    key = jax.random.key(9)
    keys = split_key(key)
    flip, dropout = jax.random.split(key)
    assert keys["flip"] == flip
    assert keys["dropout"] == dropout
    data = {jax.random.key_data(k).tobytes() for k in keys.values()}
    assert len(data) == len(keys)


@pytest.mark.slow
def test_eight_devices_augment_as_one():
    batch, key = _batch(16), jax.random.key(2)
    prepare = _task(**_ALL).prepare
    expected = jax.jit(prepare)(batch, split_key(key))
    mesh = make_mesh()
    split, whole = split_over_images(mesh), replicated(mesh)
    sharded = jax.jit(
        lambda batch, key: prepare(batch, split_key(key)),
        in_shardings=(split, whole),
        out_shardings=split,
    )
    result = sharded(jax.device_put(batch, split), jax.device_put(key, whole))
    # Fused in another way, a product and a sum may round differently.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), result, expected)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("color", "slim", "config.augment.color is 'slim': it must be none or slim_fast"),
        ("mixup_alpha", -0.1, "config.augment.mixup_alpha is -0.1: it must be positive"),
        ("cutmix_alpha", float("nan"), "config.augment.cutmix_alpha is nan"),
        ("mix_probability", 1.5, "config.augment.mix_probability is 1.5: it must be from 0 to 1"),
        ("erase_probability", -1.0, "config.augment.erase_probability is -1.0"),
    ],
)
def test_wrong_values_are_named(key, value, words):
    with pytest.raises(ConfigError, match=words):
        _task(**{key: value})
