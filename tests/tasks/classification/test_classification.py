"""What counts as right, and what it costs to be wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mobilenet.tasks.classification.classification import sum_over_images
from mobilenet.tasks.classification.mixing import Mixture


def _sum(logits, labels, mask=None, **keywords):
    logits, labels = jnp.asarray(logits, jnp.float32), jnp.asarray(labels, jnp.int32)
    mask = jnp.ones(len(labels)) if mask is None else jnp.asarray(mask, jnp.float32)
    return sum_over_images(logits, labels, mask, **keywords)


def test_a_masked_loss_that_is_infinite_does_not_spread():
    sums = _sum([[0.0, 1.0], [np.inf, 0.0]], [1, 1], [1, 0])
    np.testing.assert_allclose(sums["loss"], np.log(1 + np.exp(-1.0)), rtol=1e-6)


def test_equal_logits_rank_by_class_and_a_network_that_diverged_has_no_hits():
    rows = [[1.0] * 6, [1.0] * 6, [np.nan] * 6, [0.0, np.inf, 0.0, 0.0, 0.0, 0.0]]
    hits = [_sum([row], [label]) for row, label in zip(rows, (0, 5, 0, 1), strict=True)]
    assert [float(sums["top1"]) for sums in hits] == [1, 0, 0, 1]
    assert [float(sums["top5"]) for sums in hits] == [1, 0, 0, 1]


@pytest.mark.parametrize("classes", [3, 20])
def test_top1_and_top5_count_the_right_images(classes):
    rng = np.random.default_rng(2)
    # Permutations: no two logits of an image are equal.
    logits = rng.permuted(np.arange(64 * classes).reshape(64, classes), axis=1)
    labels = rng.integers(0, classes, 64)
    mask = (rng.random(64) < 0.7).astype(np.float32)
    order = np.argsort(-logits, axis=1)
    top1 = (order[:, 0] == labels) @ mask
    top5 = (order[:, :5] == labels[:, None]).any(1) @ mask
    assert 0 < top1 < top5
    sums = _sum(logits, labels, mask, label_smoothing=0.1)
    assert (sums["top1"], sums["top5"], sums["images"]) == (top1, top5, mask.sum())


def test_two_images_of_a_class_have_its_label_whole():
    mixture = Mixture(jnp.asarray([1], jnp.int32), jnp.asarray([0.3]))
    mixed, plain = (
        _sum([[0.0, 2.0, 1.0]], [1], label_smoothing=0.1, mixture=m) for m in (mixture, None)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), mixed, plain)


@pytest.mark.parametrize(("share", "top1"), [(0.7, 0), (0.5, 0), (0.4, 1)])
def test_the_label_with_the_larger_share_is_the_right_one(share, top1):
    mixture = Mixture(jnp.asarray([1], jnp.int32), jnp.asarray([share]))
    sums = _sum([[0.0, 2.0, 1.0]], [2], mixture=mixture)
    assert (sums["top1"], sums["top5"]) == (top1, 1)
