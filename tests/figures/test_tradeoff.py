"""Accuracy against cost: means, lines, and published points apart."""

import statistics

import pytest
from figure_runs import make_run

from mobilenet.errors import UserError
from mobilenet.figures.tradeoff import (
    Point,
    draw,
    join,
    measured_points,
    published_others,
    published_points,
)


def _grid(**keys):
    """Both networks, two widths, two resolutions, two seeds."""
    return [
        make_run(
            0.5 + 0.1 * width + 0.01 * seed,
            seed=seed,
            madds=round(1e7 * width * resolution),
            params=round(1e6 * width),
            model__name=name,
            model__width=width,
            model__resolution=resolution,
            **keys,
        )
        for name in ("mobilenet_v1", "mobilenet_v2")
        for width in (0.5, 1.0)
        for resolution in (24, 32)
        for seed in (0, 1)
    ]


def _labels(axis):
    return [text.get_text() for text in axis.get_legend().get_texts()]


def test_a_point_is_the_mean_over_seeds_with_their_standard_deviation():
    top1 = [0.70, 0.72, 0.77]
    runs = [make_run(v, seed=s, madds=3_000_000, params=40_000) for s, v in enumerate(top1)]
    (point,) = measured_points(runs)
    assert (point.family, point.width, point.resolution) == ("mobilenet_v2", 0.5, 32)
    assert (point.madds, point.params) == (3.0, 0.04)
    assert point.top1 == pytest.approx(73.0)
    assert point.spread == pytest.approx(100 * (0.0026 / 2) ** 0.5)
    assert point.spread == pytest.approx(100 * statistics.stdev(top1))


def test_a_single_seed_has_no_spread():
    (point,) = measured_points([make_run(0.7)])
    assert point.spread is None


def test_published_points_are_the_papers_grids():
    points = published_points()
    v1 = {(p.width, p.resolution) for p in points if p.family == "mobilenet_v1"}
    v2 = {(p.width, p.resolution) for p in points if p.family == "mobilenet_v2"}
    assert v1 == {(w, r) for w in (0.25, 0.5, 0.75, 1.0) for r in (128, 160, 192, 224)}
    grid = {(w, r) for w in (0.35, 0.5, 0.75, 1.0) for r in (96, 128, 160, 192, 224)}
    assert v2 == grid | {(1.4, 224)}
    assert len(points) == 16 + 21
    # slim nets/mobilenet/README.md
    assert Point("mobilenet_v2", 0.35, 96, 11.0, 1.66, 45.5, None) in points
    assert all(point.spread is None for point in points)


def test_other_published_networks_are_those_of_v2_table_4():
    rows = {(row.family, row.width): (row.top1, row.madds_millions) for row in published_others()}
    assert rows == {
        ("ShuffleNet", "1.5"): (71.5, 292),
        ("ShuffleNet", "x2"): (73.7, 524),
        ("NasNet-A", ""): (74.0, 564),
    }


@pytest.mark.parametrize(
    ("x", "labels"), [("madds", ["0.5", "1.0"] * 2), ("params", ["24", "32"] * 2)]
)
def test_a_line_joins_what_moves_along_x(x, labels):
    lines = join(measured_points(_grid()), x)
    assert [line.label for line in lines] == labels
    assert [line.family for line in lines] == ["mobilenet_v1"] * 2 + ["mobilenet_v2"] * 2
    for line in lines:
        costs = [getattr(point, x) for point in line.points]
        assert costs == sorted(costs)
        assert len(costs) == 2


def test_a_single_resolution_is_joined_over_widths():
    runs = [run for run in _grid() if run.key("model.resolution") == 32]
    lines = join(measured_points(runs), "madds")
    assert [line.label for line in lines] == ["32", "32"]
    assert [[point.width for point in line.points] for line in lines] == [[0.5, 1.0]] * 2


def test_published_accuracies_have_a_panel_of_their_own_beside_other_data():
    ours, theirs = draw(_grid()).axes
    assert ours.get_title() == "Ours, CIFAR-10 (test)"
    assert theirs.get_title() == "Published, ImageNet"
    assert _labels(ours) == ["MobileNetV1", "MobileNetV2"]
    assert len(ours.containers) == 4
    assert len(theirs.containers) == 4 + 5
    assert _labels(theirs) == [
        "MobileNetV1, published",
        "MobileNetV2, published",
        "ShuffleNet, published",
        "NasNet-A, published",
    ]
    assert "2 seeds, bars: standard deviation" in draw(_grid()).get_supxlabel()
    for axis in (ours, theirs):
        assert axis.get_xscale() == "log"
        assert axis.get_xlabel() == "Multiply-adds (millions), logarithmic"
        assert axis.get_ylabel() == "Top-1 accuracy (%)"


def test_runs_on_imagenet_share_the_axes():
    keys = {"data__name": "imagenet2012", "data__eval_split": "validation"}
    (axis,) = draw(_grid(**keys), x="params").axes
    assert _labels(axis)[:3] == ["MobileNetV1", "MobileNetV2", "MobileNetV1, published"]
    # By resolution: two of ours for each network, four and five published ones.
    assert len(axis.containers) == 4 + 4 + 5
    assert axis.get_xlabel() == "Parameters (millions), logarithmic"


def test_published_accuracies_can_be_left_out():
    figure = draw(_grid(), published=False)
    (axis,) = figure.axes
    assert _labels(axis) == ["MobileNetV1", "MobileNetV2"]
    assert "ublished" not in figure.get_supxlabel()


def test_published_points_are_hollow_and_ours_are_not():
    ours, theirs = draw(_grid()).axes
    assert {line.get_markerfacecolor() for line in ours.lines if line.get_marker() in "so"} == {
        "#0072B2",
        "#D55E00",
    }
    markers = [line for line in theirs.lines if line.get_marker() in ("s", "o", "^", "D")]
    assert {line.get_markerfacecolor() for line in markers} == {"white"}


def test_an_ablation_is_no_tradeoff():
    with pytest.raises(UserError, match=r"differ in model\.bottleneck \(linear, relu6\)"):
        draw([make_run(0.5), make_run(0.4, model__bottleneck="relu6")])
