"""Colour distortion: its statistics, and saturation against HSV by the standard library."""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np

from mobilenet.tasks.pixels.color import distort_color, scale_saturation


def _gray(number, value):
    return jnp.full((number, 2, 3, 3), value, jnp.float32)


def test_brightness_moves_images_as_a_whole_by_up_to_32():
    result = np.asarray(distort_color(_gray(2000, 128.0), jax.random.key(0)))
    shift = result - 128
    # Gray stays gray, and a pixel moves with its image.
    assert (shift == shift[:, :1, :1, :1]).all()
    shift = shift[:, 0, 0, 0]
    assert 31 < shift.max() <= 32
    assert -32 <= shift.min() < -31
    # Uniform: a standard deviation of 64 / sqrt(12); the mean of 2,000 has one of 0.41.
    assert abs(shift.mean()) < 4 * 0.41
    np.testing.assert_allclose(shift.std(), 64 / 12**0.5, rtol=0.05)


def test_saturation_is_scaled_by_a_half_to_one_and_a_half():
    colors = jnp.broadcast_to(jnp.asarray([160.0, 140.0, 120.0]), (2000, 1, 1, 3))
    result = np.asarray(distort_color(colors, jax.random.key(1)))[:, 0, 0]
    value, least = result.max(-1), result.min(-1)
    # A shift before changes the saturation; the colour's own is 40 over what it was shifted to.
    scale = (value - least) / 40
    assert 0.5 <= scale.min() < 0.52
    assert 1.48 < scale.max() <= 1.5
    np.testing.assert_allclose(scale.mean(), 1, atol=4 * (1 / 12**0.5) / 2000**0.5)
    np.testing.assert_allclose(scale.std(), 1 / 12**0.5, rtol=0.05)
    # Brightness and saturation are drawn apart from each other.
    assert abs(np.corrcoef(value, scale)[0, 1]) < 4 / 2000**0.5


def test_brightness_comes_first_and_only_the_end_is_clipped():
    # 250 + 32 would be cut to white, which has no saturation to scale.
    colors = jnp.broadcast_to(jnp.asarray([250.0, 130.0, 10.0]), (500, 1, 1, 3))
    result = np.asarray(distort_color(colors, jax.random.key(2)))[:, 0, 0]
    assert result.min() >= 0
    assert result.max() == 255
    keys = jax.random.split(jax.random.key(2))
    shift = jax.random.uniform(keys[0], (500, 1, 1, 1), jnp.float32, minval=-32, maxval=32)
    scale = jax.random.uniform(keys[1], (500, 1, 1, 1), jnp.float32, minval=0.5, maxval=1.5)
    shifted, scale = np.asarray(colors + shift)[:, 0, 0], np.asarray(scale)[:, 0, 0, 0]
    expected = np.clip([_by_hsv(*pair) for pair in zip(shifted, scale, strict=True)], 0, 255)
    np.testing.assert_allclose(result, expected, atol=1e-3)


def _by_hsv(color, scale):
    hue, saturation, value = colorsys.rgb_to_hsv(*map(float, color))
    return colorsys.hsv_to_rgb(hue, min(saturation * scale, 1.0), value)


def test_saturation_is_that_of_hsv():
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (8, 5, 4, 3)).astype(np.float32)
    images[0, 0, 0] = 0  # black
    images[1, 0, 0] = 200  # gray
    images[2, 0, 0] = (255, 0, 0)  # cannot become more colourful
    scale = rng.uniform(0.5, 1.5, (8, 1, 1, 1)).astype(np.float32)
    result = scale_saturation(jnp.asarray(images), jnp.asarray(scale))
    expected = [
        [[_by_hsv(color, factor) for color in row] for row in image]
        for image, factor in zip(images, scale.ravel(), strict=True)
    ]
    np.testing.assert_allclose(result, expected, atol=1e-3)
