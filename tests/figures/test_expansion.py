"""Accuracy and cost against the expansion factor."""

import pytest
from figure_runs import make_run

from mobilenet.errors import UserError
from mobilenet.figures.expansion import Point, draw, points


def _runs(width, *factors):
    return [
        make_run(
            0.6 + factor / 100 + seed / 50,
            seed=seed,
            madds=round(1e6 * factor),
            model__width=width,
            model__expansion=factor,
        )
        for factor in factors
        for seed in (0, 1)
    ]


def test_points_are_ordered_by_width_and_factor():
    found = points([*_runs(0.5, 10.0, 2.0), *_runs(0.35, 6.0)])
    assert [(p.width, p.expansion, p.madds) for p in found] == [
        (0.35, 6.0, 6.0),
        (0.5, 2.0, 2.0),
        (0.5, 10.0, 10.0),
    ]
    assert [p.top1 for p in found] == pytest.approx([67.0, 63.0, 71.0])
    # Two values of distance d have the standard deviation d / sqrt(2).
    assert [p.spread for p in found] == pytest.approx([2 / 2**0.5] * 3)


def test_the_networks_own_factor_is_6():
    assert points([make_run(0.5), make_run(0.4, model__expansion=1.0)]) == [
        Point(0.5, 1.0, 10.0, 40.0, None),
        Point(0.5, 6.0, 10.0, 50.0, None),
    ]


def test_one_line_for_each_width_on_both_panels():
    figure = draw([*_runs(0.5, 2.0, 6.0), *_runs(0.35, 2.0, 6.0)])
    accuracy, cost = figure.axes
    legend = [text.get_text() for text in accuracy.get_legend().get_texts()]
    assert legend == ["width 0.35", "width 0.5"]
    assert [list(line.get_ydata()) for line in cost.lines] == [[2.0, 6.0]] * 2
    assert cost.get_ylabel() == "Multiply-adds (millions)"
    caption = "CIFAR-10 (test), MobileNetV2, 32 pixels, 2 seeds, bars: standard deviation."
    assert figure.get_supxlabel() == caption


def test_a_single_factor_is_no_figure():
    with pytest.raises(UserError, match=r"All runs have model\.expansion=6, and expansion"):
        draw([make_run(0.5)])
