"""Curves over training: V2 figures 6a and 6b."""

import pytest
from figure_runs import make_run

from mobilenet.errors import UserError
from mobilenet.figures.ablations import draw_bottleneck, draw_shortcut
from mobilenet.figures.curves import gather
from mobilenet.runs.groups import group_runs

_CURVES = ({100: 0.1, 200: 0.5, 300: 0.6}, {100: 0.2, 200: 0.5, 300: 0.9}, {100: 0.6, 300: 0.6})


def _runs(*variants, name="model__bottleneck", **keys):
    return [
        make_run(list(curve.values())[-1], seed=seed, curve=curve, **{name: variant}, **keys)
        for variant in variants
        for seed, curve in enumerate(_CURVES)
    ]


def test_a_curve_is_mean_minimum_and_maximum_at_the_steps_of_all_seeds():
    (group,) = group_runs(_runs("linear"))
    curve = gather(group, "linear")
    assert curve.steps == (100, 300)
    assert curve.mean == pytest.approx((30.0, 70.0))
    assert curve.low == pytest.approx((10.0, 60.0))
    assert curve.high == pytest.approx((60.0, 90.0))
    assert (curve.label, curve.seeds) == ("linear", 3)


def test_runs_without_a_common_evaluation_are_one_sentence():
    runs = [make_run(0.5, seed=0, curve={100: 0.5}), make_run(0.5, seed=1, curve={200: 0.5})]
    (group,) = group_runs(runs)
    with pytest.raises(UserError, match="no evaluation at a common step"):
        gather(group, "")


def test_bottleneck_draws_one_line_and_one_band_for_each_kind():
    figure = draw_bottleneck(_runs("linear", "relu6"))
    whole, end = figure.axes
    for axis in (whole, end):
        assert [line.get_label() for line in axis.lines] == ["linear", "ReLU6"]
        assert len(axis.collections) == 2
        assert axis.get_xlabel() == "Training steps"
    assert list(whole.lines[0].get_xdata()) == [100, 300]
    # The last half: the accuracies of step 300 alone.
    assert end.get_xlim()[0] == 150
    assert 50 < end.get_ylim()[0] < 60
    assert 90 < end.get_ylim()[1] < 100
    caption = figure.get_supxlabel().replace("\n", " ")
    assert caption.startswith("CIFAR-10 (test), MobileNetV2 0.5, 32 pixels, 3 seeds. Lines: mean, ")
    assert "bands: minimum to maximum over seeds" in caption


def test_bottleneck_names_the_shortcut_where_that_differs_too():
    runs = _runs("linear", "relu6") + _runs("linear", "relu6", model__shortcut="none")
    assert [line.get_label() for line in draw_bottleneck(runs).axes[0].lines] == [
        "linear, with shortcut",
        "ReLU6, with shortcut",
        "linear, no shortcut",
        "ReLU6, no shortcut",
    ]


def test_a_single_seed_has_no_band():
    runs = [make_run(0.5), make_run(0.4, model__bottleneck="relu6")]
    figure = draw_bottleneck(runs)
    assert [len(axis.collections) for axis in figure.axes] == [0, 0]
    assert "bands" not in figure.get_supxlabel()


def test_shortcut_draws_the_linear_runs_alone():
    runs = _runs("bottleneck", "expansion", "none", name="model__shortcut")
    runs += _runs("bottleneck", "none", name="model__shortcut", model__bottleneck="relu6")
    lines = draw_shortcut(runs).axes[0].lines
    labels = ["between bottlenecks", "between expansions", "no shortcut"]
    assert [line.get_label() for line in lines] == labels


def test_a_default_counts_as_its_kind():
    runs = [make_run(0.5), make_run(0.6, model__shortcut="none", model__bottleneck="linear")]
    lines = draw_shortcut(runs).axes[0].lines
    assert [line.get_label() for line in lines] == ["between bottlenecks", "no shortcut"]


@pytest.mark.parametrize(
    ("draw", "runs", "message"),
    [
        (
            draw_bottleneck,
            _runs("linear"),
            r"All runs have model\.bottleneck=linear, and bottleneck",
        ),
        (draw_shortcut, _runs("linear"), r"All runs have model\.shortcut=bottleneck, and shortcut"),
        (draw_shortcut, _runs("relu6"), "None of the runs has linear bottlenecks"),
        (
            draw_bottleneck,
            _runs("linear") + _runs("relu6", model__width=1.0),
            r"differ in model\.width \(0\.5, 1\.0\)",
        ),
        (draw_shortcut, [make_run(0.5, model__name="mobilenet_v1")], "is of MobileNetV2"),
    ],
)
def test_runs_that_do_not_fit_are_one_sentence(draw, runs, message):
    with pytest.raises(UserError, match=message) as raised:
        draw(runs)
    assert "\n" not in str(raised.value)
