"""Mixup and cutmix: shares of pixels and of labels, their distribution, and masked images."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mobilenet.runtime.mesh import make_mesh, replicated, split_over_images
from mobilenet.tasks.classification.mixing import mix

_KEYS = 2000
_OFF = {"mixup_alpha": 0.0, "cutmix_alpha": 0.0, "probability": 1.0}


# One program for all: operation by operation, each would be compiled by itself.
@functools.partial(jax.jit, static_argnames=tuple(_OFF))
def _mix(images, labels, mask, key, **options):
    return mix(images, labels, mask, key, **{**_OFF, **options})


def _batch(number, side=8, seed=0):
    rng = np.random.default_rng(seed)
    images = jnp.asarray(rng.integers(0, 256, (number, side, side, 3)), jnp.float32)
    return images, jnp.arange(number, dtype=jnp.int32), jnp.ones(number)


@functools.cache
def _many_pairs(side, **options):
    """What became of two images, a black and a white one, under 2,000 keys: pixels and shares.

    Returns the share of white in the pixels of the second, and its own share of its label.
    """
    images = jnp.stack([jnp.zeros((side, side, 3)), jnp.full((side, side, 3), 255.0)])
    labels, mask = jnp.asarray([3, 5], jnp.int32), jnp.ones(2)
    keys = jax.random.split(jax.random.key(7), _KEYS)
    mixed, mixture = jax.jit(jax.vmap(lambda key: _mix(images, labels, mask, key, **options)))(keys)
    np.testing.assert_array_equal(mixture.others, np.broadcast_to([5, 3], (_KEYS, 2)))
    return np.asarray(mixed)[:, 1] / 255, np.asarray(mixture.shares)[:, 1]


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_the_share_of_mixup_is_of_the_beta_distribution(alpha):
    pixels, shares = _many_pairs(2, mixup_alpha=alpha)
    # White mixed with black: every pixel is the share.
    every = np.broadcast_to(shares[:, None, None, None], pixels.shape)
    np.testing.assert_allclose(pixels, every, rtol=1e-5)
    # Beta(a, a) has the mean 1/2 and the variance 1 / (4 (2a + 1)).
    variance = 1 / (4 * (2 * alpha + 1))
    assert abs(shares.mean() - 0.5) < 4 * (variance / _KEYS) ** 0.5
    np.testing.assert_allclose(shares.var(), variance, rtol=0.1)
    assert shares.min() >= 0
    assert shares.max() <= 1


def test_mixup_mixes_each_image_with_the_one_before():
    images, labels, mask = _batch(8)
    mixed, mixture = _mix(images, labels, mask, jax.random.key(0), mixup_alpha=1.0)
    share = np.float64(mixture.shares[0])
    assert 0.05 < share < 0.95
    assert (mixture.shares == mixture.shares[0]).all()
    before = np.array([7, 0, 1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(mixture.others, before)
    pixels = np.asarray(images, np.float64)
    np.testing.assert_allclose(mixed, share * pixels + (1 - share) * pixels[before], rtol=1e-5)


def test_cutmix_takes_a_square_box_of_uniform_area_before_the_edges_cut_it():
    pixels, shares = _many_pairs(16, cutmix_alpha=1.0)
    # Each pixel is one image's or the other's.
    assert np.isin(pixels, (0, 1)).all()
    assert (pixels == pixels[..., :1]).all()
    np.testing.assert_array_equal(pixels[..., 0].mean((1, 2)), shares)
    taken = pixels[..., 0] == 0
    rows, columns = taken.any(2), taken.any(1)
    height, width = rows.sum(1), columns.sum(1)
    np.testing.assert_array_equal(height * width, taken.sum((1, 2)))
    # A box that touches no edge is whole: its sides are equal.
    edges = (rows[:, 0], rows[:, -1], columns[:, 0], columns[:, -1])
    inner = ~np.any(edges, 0) & (height > 0)
    assert inner.sum() > 100
    np.testing.assert_array_equal(height[inner], width[inner])
    # The share 1 - r^2 of Beta(1, 1) makes boxes of side 2h = 2 floor(16 r / 2), of which an axis
    # keeps, in the mean over all centres, the places less than h before or behind the centre.
    halves = np.floor(8 * np.sqrt((np.arange(10_000) + 0.5) / 10_000)).astype(int)
    centers = np.arange(16)
    kept = [
        np.mean(np.minimum(centers + h, 16) - np.maximum(centers - h, 0)) / 16 for h in range(9)
    ]
    expected = np.mean(np.square(kept)[halves])
    np.testing.assert_allclose(1 - shares.mean(), expected, atol=4 * shares.std() / _KEYS**0.5)
    # A pixel in the middle is taken more often than one in the corner.
    assert taken.mean(0)[7, 7] > taken.mean(0)[0, 0] + 0.1


def test_with_both_on_either_is_taken_half_of_the_time_that_is_asked_for():
    pixels, shares = _many_pairs(16, mixup_alpha=1.0, cutmix_alpha=1.0, probability=0.3)
    is_whole = (pixels == 1).all((1, 2, 3))
    np.testing.assert_array_equal(is_whole, shares == 1)
    is_cutmix = np.isin(pixels, (0, 1)).all((1, 2, 3)) & ~is_whole
    # A box below an eighth of the side is empty, which is one in 64.
    mixup, cutmix = 0.3 / 2, 0.3 / 2 * 63 / 64
    for expected, found in ((mixup, ~is_whole & ~is_cutmix), (cutmix, is_cutmix)):
        deviation = (expected * (1 - expected) / _KEYS) ** 0.5
        assert abs(found.mean() - expected) < 4 * deviation


@pytest.mark.parametrize("options", [{"mixup_alpha": 1.0}, {"cutmix_alpha": 1.0}])
def test_what_is_masked_is_mixed_into_nothing(options):
    images, labels, mask = _batch(8)
    mask = mask.at[jnp.asarray([2, 7])].set(0)
    other_images = images.at[jnp.asarray([2, 7])].set(1e9)
    mixed, mixture = _mix(images, labels, mask, jax.random.key(3), **options)
    other, other_mixture = _mix(other_images, labels, mask, jax.random.key(3), **options)
    valid = np.flatnonzero(mask)
    np.testing.assert_array_equal(mixed[valid], other[valid])
    np.testing.assert_array_equal(mixture.shares, other_mixture.shares)
    # The images after the masked ones stay whole, in pixels and in labels, and all others do not.
    for whole in (0, 3):
        assert mixture.shares[whole] == 1
        np.testing.assert_array_equal(mixed[whole], images[whole])
    assert (mixture.shares[jnp.asarray([1, 4, 5, 6])] < 1).all()


def test_eight_devices_mix_as_one_and_pass_single_images_on():
    # The program holds both, and takes either.
    options = {"mixup_alpha": 0.2, "cutmix_alpha": 1.0}
    batch = _batch(16)
    key = jax.random.key(5)
    expected = _mix(*batch, key, **options)
    mesh = make_mesh()
    split, whole = split_over_images(mesh), replicated(mesh)
    step = jax.jit(
        functools.partial(_mix, **options),
        in_shardings=(split, split, split, whole),
        out_shardings=split,
    )
    compiled = step.lower(*batch, key).compile()
    result = compiled(*jax.device_put(batch, split), jax.device_put(key, whole))
    # Fused in another way, a product and a sum may round differently.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), result, expected)
    text = compiled.as_text()
    assert "collective-permute" in text
    assert "all-gather" not in text
    assert "all-to-all" not in text


def test_nothing_to_mix_is_an_error():
    with pytest.raises(ValueError, match="nothing to mix"):
        _mix(*_batch(2), jax.random.key(0))
