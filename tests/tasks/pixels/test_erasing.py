"""Random erasing: how often, how large, of what shape and where."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mobilenet.tasks.pixels.erasing import random_erase

_NUMBER, _SIDE = 3000, 32
_FILL = (10.0, 20.0, 30.0)
_erase = jax.jit(random_erase, static_argnames=("probability", "fill"))


@pytest.fixture(scope="module")
def erased():
    """Which pixels of white images were erased."""
    images = jnp.full((_NUMBER, _SIDE, _SIDE, 3), 255.0)
    result = _erase(images, jax.random.key(0), probability=0.5, fill=_FILL)
    result = np.asarray(result)
    is_filled = (result == np.float32(_FILL)).all(-1)
    assert (is_filled | (result == 255).all(-1)).all()
    return is_filled


def _boxes(erased):
    """Top, left, height and width of the rectangles; they are full."""
    boxes = []
    for mask in erased[erased.any((1, 2))]:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert mask.sum() == height * width
        boxes.append((rows[0], columns[0], height, width))
    return np.array(boxes).T


def test_the_probability_is_kept(erased):
    # Four standard deviations; ten attempts in a row never failed here.
    assert abs(erased.any((1, 2)).mean() - 0.5) < 4 * 0.5 / _NUMBER**0.5


def test_area_and_aspect_are_within_torchvisions_bounds(erased):
    top, left, height, width = _boxes(erased)
    share = height * width / _SIDE**2
    # Sides are rounded, each by half a pixel at most.
    assert ((height + 0.5) * (width + 0.5) >= 0.02 * _SIDE**2).all()
    assert ((height - 0.5) * (width - 0.5) <= 0.33 * _SIDE**2).all()
    assert share.min() < 0.03
    assert share.max() > 0.32
    # Uniform between 0.02 and 0.33, but that of the largest some thin ones do not fit.
    np.testing.assert_allclose(share.mean(), (0.02 + 0.33) / 2, atol=0.01)
    np.testing.assert_allclose(share.std(), 0.31 / 12**0.5, rtol=0.06)
    assert ((height + 0.5) / (width - 0.5) >= 0.3).all()
    assert ((height - 0.5) / (width + 0.5) <= 3.3).all()
    # Log-uniform: no side is favoured.
    aspect = np.log(height / width)
    assert abs(aspect.mean()) < 0.06
    np.testing.assert_allclose(aspect.std(), np.log(3.3 / 0.3) / 12**0.5, rtol=0.08)
    assert (top + height <= _SIDE).all()
    assert (left + width <= _SIDE).all()


def test_places_are_uniform(erased):
    top, left, height, width = _boxes(erased)
    for start, length in ((top, height), (left, width)):
        place = start / (_SIDE - length)
        assert abs(place.mean() - 0.5) < 0.04
        assert (place == 0).any()
        assert (place == 1).any()


def test_none_and_all():
    images = jnp.full((64, 16, 16, 3), 255.0)
    none = _erase(images, jax.random.key(1), probability=0.0, fill=_FILL)
    every = _erase(images, jax.random.key(1), probability=1.0, fill=_FILL)
    assert (none == images).all()
    assert (every != images).any((1, 2, 3)).all()
