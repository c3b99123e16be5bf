"""ReLU embeddings: the spiral, and theorem 1 of V2 appendix A against enumeration and sampling."""

import itertools

import numpy as np
import pytest

from mobilenet.figures.relu_embedding import (
    draw,
    embed_and_project,
    kept_share,
    kept_share_bound,
    kept_shares,
    measure_kept_share,
    spiral,
)


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [(2, 1 / 4), (3, 1 / 2), (5, 13 / 16), (15, 1 - 16 / 2**15), (30, 1 - 31 / 2**30)],
)
def test_the_kept_share_of_a_plane(outputs, expected):
    # 1 - (C(m, 0) + C(m, 1)) / 2^m: at least two outputs must be positive.
    assert kept_share(2, outputs) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (1, 4), (2, 4), (3, 5), (4, 9)])
def test_the_kept_share_counts_patterns_of_signs(inputs, outputs):
    # Every pattern of positive outputs is as likely as any other.
    patterns = list(itertools.product((False, True), repeat=outputs))
    kept = sum(sum(pattern) >= inputs for pattern in patterns)
    assert kept_share(inputs, outputs) == kept / len(patterns)


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 3), (2, 12), (4, 24), (16, 96), (2, 60)])
def test_the_bound_is_below_the_share(inputs, outputs):
    assert kept_share_bound(inputs, outputs) <= kept_share(inputs, outputs)


def test_the_bound_by_hand():
    # 1 - 12^3 / (4096 * 2)
    assert kept_share_bound(2, 12) == pytest.approx(0.7890625)


@pytest.mark.parametrize(("inputs", "outputs"), [(2, 2), (2, 5), (4, 8), (16, 32), (3, 18)])
def test_sampling_agrees_with_the_theorem(inputs, outputs):
    samples = 4000
    share = kept_share(inputs, outputs)
    deviation = (share * (1 - share) / samples) ** 0.5
    measured = measure_kept_share(inputs, outputs, samples, seed=1)
    assert abs(measured - share) <= 4 * deviation + 1 / samples


def test_a_seed_gives_the_same_numbers():
    assert kept_shares(inputs=(2,), samples=50, seed=3) == kept_shares((2,), 50, 3)
    assert [(kept.inputs, kept.outputs) for kept in kept_shares((2,), 50)] == [
        (2, m) for m in (2, 3, 4, 6, 8, 10, 12)
    ]


def test_the_spiral_turns_from_the_middle_to_radius_1():
    radius = np.linalg.norm(spiral(100), axis=1)
    assert radius == pytest.approx(np.linspace(0, 1, 100))


def test_two_dimensions_keep_one_quarter_of_the_plane_and_lose_the_rest():
    x = spiral()
    projected = embed_and_project(x, 2, seed=0)
    matrix = np.random.default_rng((0, 2)).normal(size=(2, 2))
    both = ((x @ matrix.T) > 0).all(1)
    neither = ((x @ matrix.T) <= 0).all(1)
    assert both.any()
    assert neither.any()
    np.testing.assert_allclose(projected[both], x[both], atol=1e-12)
    np.testing.assert_allclose(projected[neither], 0, atol=1e-12)


def test_many_dimensions_keep_distances_apart():
    x = spiral()
    # Points that are different stay so, which ReLU in two dimensions does not grant.
    projected = embed_and_project(x, 30, seed=0)
    assert np.linalg.norm(np.diff(projected, axis=0), axis=1).min() > 1e-4


def test_the_picture_has_the_input_five_embeddings_and_the_shares():
    figure = draw(seed=0)
    titles = [axis.get_title() for axis in figure.axes[:6]]
    assert titles == ["input", "n = 2", "n = 3", "n = 5", "n = 15", "n = 30"]
    shares = figure.axes[6]
    legend = [text.get_text() for text in shares.get_legend().get_texts()]
    assert legend == ["2 dimensions", "4 dimensions", "16 dimensions"]
    assert shares.get_ylabel() == "Volume kept (%)"
    assert "Seed 0." in figure.get_supxlabel()
