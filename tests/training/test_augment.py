"""Normalisation and flips on the device."""

import jax
import jax.numpy as jnp
import numpy as np

from mobilenet.training.augment import normalize, random_flip


def _images(number):
    return np.random.default_rng(0).integers(0, 256, (number, 5, 7, 3), dtype=np.uint8)


def test_normalises_each_channel_by_its_own_numbers():
    images = _images(2)
    mean, stddev = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    expected = (images.astype(np.float64) - np.array(mean)) / np.array(stddev)
    result = normalize(jnp.asarray(images), mean, stddev)
    assert result.dtype == jnp.float32
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6)


def test_the_default_maps_pixels_to_minus_one_to_one():
    ends = jnp.asarray([[[[0, 127, 255]]]], jnp.uint8)
    result = normalize(ends, (127.5,) * 3, (127.5,) * 3)
    np.testing.assert_allclose(result, [[[[-1, -1 / 255, 1]]]], rtol=1e-6)


def test_flips_whole_images_left_to_right_with_probability_one_half():
    images = _images(400)
    result = np.asarray(random_flip(jnp.asarray(images), jax.random.key(3)))
    mirrored = (result == images[:, :, ::-1]).all((1, 2, 3))
    same = (result == images).all((1, 2, 3))
    assert (mirrored ^ same).all()
    # Four standard deviations of a fair coin.
    assert abs(mirrored.sum() - 200) < 40


def test_the_key_decides_what_is_flipped():
    images = jnp.asarray(_images(64))
    first, again, other = (random_flip(images, jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
