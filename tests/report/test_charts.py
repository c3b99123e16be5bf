"""What the charts hold, against the runs that they are of."""

import dataclasses
import math

import pytest
from synthetic_runs import make_run, make_sweep

from mobilenet.errors import UserError
from mobilenet.figures.run_groups import TITLES
from mobilenet.figures.style import MARKS
from mobilenet.report.charts import draw_curves, draw_tradeoff
from mobilenet.runs.groups import group_runs


def _with_metrics(run, losses):
    records = [{"step": k, "split": "train", "loss": x} for k, x in enumerate(losses, start=1)]
    return dataclasses.replace(run, metrics=records)


def _ours(chart):
    return [trace for trace in chart.data if "published" not in trace.name]


def test_points_that_differ_in_resolution_only_lie_on_one_line():
    runs = make_sweep()
    chart = draw_tradeoff(group_runs(runs), show_published=False)
    lines = _ours(chart)
    # Two families of four widths, each at two resolutions, of which the smaller is cheaper.
    assert len(lines) == 8
    for line in lines:
        assert len(line.x) == 2
        assert line.x[0] < line.x[1]
    # The narrowest V1 at 32 pixels: the mean of three seeds in percent, and its cost.
    chosen = [run for run in runs if run.name.startswith("mobilenet_v1_0.25_32_")]
    first = lines[0]
    assert first.y[0] == pytest.approx(100 * sum(run.result["top1"] for run in chosen) / 3)
    assert first.x[0] == chosen[0].result["madds"] / 1e6
    assert first.error_y.array[0] > 0
    assert list(first.text) == ["", "0.25"]


def test_the_other_cost_is_that_of_the_same_points():
    runs = make_sweep(1)
    chart = draw_tradeoff(group_runs(runs), show_published=False)
    madds, params = (button.args[0]["x"] for button in chart.layout.updatemenus[0].buttons)
    assert list(madds[0]) == [run.result["madds"] / 1e6 for run in runs[:2]]
    assert list(params[0]) == [run.result["params"] / 1e6 for run in runs[:2]]
    assert [len(x) for x in params] == [len(trace.y) for trace in chart.data]


def test_families_look_as_in_the_figures():
    chart = draw_tradeoff(group_runs(make_sweep(1)), show_published=True)
    symbols = {"o": "circle", "s": "square"}
    for family, look in MARKS.items():
        line = next(trace for trace in chart.data if trace.name == TITLES[family])
        assert (line.marker.symbol, line.marker.color) == (symbols[look.marker], look.color)
        (published,) = (t for t in chart.data if t.name.startswith(f"{TITLES[family]}, "))
        assert published.marker.symbol == f"{symbols[look.marker]}-open"


def test_families_come_in_the_order_of_the_figures():
    runs = [make_run(model=model) for model in ("mobilenet_v2", "mobilenet_v1")]
    chart = draw_tradeoff(group_runs(runs), show_published=False)
    assert [trace.name for trace in _ours(chart)] == ["MobileNetV1", "MobileNetV2"]


def test_published_points_carry_their_source():
    chart = draw_tradeoff(group_runs([make_run()]), show_published=True)
    texts = [t for trace in chart.data if "published" in trace.name for t in trace.hovertext]
    # Table 4 of arXiv 1801.04381.
    (paper,) = (t for t in texts if "arXiv 1801.04381 Table 4" in t and "top-1 72 %" in t)
    assert "multiply-adds 300 M, parameters 3.4 M" in paper
    # Not every source prints parameters.
    assert not any("None" in text for text in texts)


@pytest.mark.parametrize("shown", [True, False])
def test_published_points_can_wait_for_a_click(shown):
    chart = draw_tradeoff(group_runs([make_run()]), show_published=shown)
    states = {trace.visible for trace in chart.data if "published" in trace.name}
    assert states == {True if shown else "legendonly"}


def test_a_score_that_is_not_finite_has_no_point():
    run = dataclasses.replace(make_run(), result=make_run().result | {"top1": math.nan})
    assert not _ours(draw_tradeoff(group_runs([run]), show_published=False))


def test_runs_of_different_scores_have_no_common_axis():
    other = make_run(width=1.0)
    other = dataclasses.replace(other, result={**other.result, "best": "map", "map": 0.3})
    with pytest.raises(UserError, match=r"different scores \(map, top1\)"):
        draw_tradeoff(group_runs([make_run(), other]), show_published=False)


def test_every_seed_of_a_configuration_is_a_line_of_one_entry():
    runs = [make_run(seed=seed, width=width) for width in (0.5, 1.0) for seed in (0, 1)]
    chart = draw_curves(group_runs(runs), "top1", "eval")
    assert [trace.showlegend for trace in chart.data] == [True, False, True, False]
    assert [trace.name for trace in chart.data[::2]] == ["1: width 0.5", "2: width 1"]
    expected = [100 * record["top1"] for record in runs[0].metrics if record["split"] == "eval"]
    assert list(chart.data[0].y) == pytest.approx(expected)


def test_of_many_configurations_the_best_one_is_shown():
    runs = [make_run(width=0.25 * k) for k in range(1, 8)]
    tops = (0.4, 0.5, math.nan, 0.7, 0.6, 0.3, 0.2)
    runs = [
        dataclasses.replace(run, result=run.result | {"top1": top1})
        for run, top1 in zip(runs, tops, strict=True)
    ]
    chart = draw_curves(group_runs(runs), "loss", "train")
    assert [trace.name for trace in chart.data if trace.visible is True] == ["4: width 1"]


def test_a_long_curve_becomes_means_of_neighbours():
    losses = [float(k) for k in range(1, 1001)]
    losses[998] = math.nan
    (line,) = draw_curves(group_runs([_with_metrics(make_run(), losses)]), "loss", "train").data
    # Means of 1 to 4 and of 5 to 8, each at its last step; what is not finite is a gap.
    assert list(zip(line.x, line.y, strict=True))[:2] == [(4, 2.5), (8, 6.5)]
    assert (line.x[-1], line.y[-1]) == (1000, None)
    assert len(line.x) == 250


def test_a_run_without_metrics_has_empty_curves():
    (line,) = draw_curves(group_runs([_with_metrics(make_run(), [])]), "loss", "train").data
    assert len(line.x) == 0
