"""What the page shows, against values worked out by hand."""

import dataclasses
import json
import math

import pytest
from synthetic_runs import make_run

from mobilenet.report.data import datasets, group_data
from mobilenet.report.published import published_data
from mobilenet.report.text import format_millions, format_value, short_names
from mobilenet.runs.groups import group_runs


def _with_result(run, **values):
    return dataclasses.replace(run, result=run.result | values)


def _with_metrics(run, metrics):
    return dataclasses.replace(run, metrics=metrics)


def _losses(values):
    return [{"step": k, "split": "train", "loss": loss} for k, loss in enumerate(values, start=1)]


def test_a_group_has_mean_and_spread_of_its_seeds_in_percent():
    runs = [
        _with_result(make_run(seed=seed), top1=top1, seconds=seconds)
        for seed, top1, seconds in ((2, 0.53, 100.0), (0, 0.50, 80.0), (1, 0.53, 90.0))
    ]
    (group,) = group_data(group_runs(runs))
    assert group["top1"] == pytest.approx(52.0)
    # Deviations of -2, 1 and 1: the root of (4 + 1 + 1) / 2.
    assert group["stddev"] == pytest.approx(math.sqrt(3))
    assert group["seconds"] == 90
    assert [run["seed"] for run in group["runs"]] == [0, 1, 2]
    assert group["facts"]["top1"] == "52.00 ± 1.73"
    assert group["facts"]["seeds"] == "3 (50.00 to 53.00 %)"
    assert group["facts"]["seconds"] == "1 min 30 s"


def test_one_seed_has_no_spread():
    (group,) = group_data(group_runs([_with_result(make_run(), top1=0.5)]))
    assert group["stddev"] is None
    assert group["facts"]["top1"] == "50.00"
    assert group["facts"]["seeds"] == "1"


def test_costs_are_those_of_the_network():
    run = make_run(model="mobilenet_v1", width=1.0, resolution=224, stem_stride=2)
    (group,) = group_data(group_runs([run]))
    # 1,000 classes have 4,231,976 parameters (tests/golden/counts.csv), 10 have 990 x 1,025 fewer.
    assert group["facts"]["exact params"] == "3,217,226"
    assert group["facts"]["madds"] == "568"


def test_points_that_differ_in_resolution_only_lie_on_one_line():
    runs = [
        make_run(model=model, width=width, resolution=resolution)
        for model in ("mobilenet_v1", "mobilenet_v2")
        for width in (0.5, 1.0)
        for resolution in (32, 64)
    ]
    groups = group_data(group_runs(runs))
    lines = {}
    for group in groups:
        lines.setdefault(group["line"], []).append((group["family"], group["width"]))
    assert sorted(lines.values()) == [
        [("V1", 0.5)] * 2,
        [("V1", 1.0)] * 2,
        [("V2", 0.5)] * 2,
        [("V2", 1.0)] * 2,
    ]


def test_a_name_may_hold_the_width():
    run = make_run()
    config = run.config | {"model": run.config["model"] | {"name": "mobilenet_v1_075"}}
    (group,) = group_data(group_runs([dataclasses.replace(run, config=config)]))
    assert (group["family"], group["width"], group["label"]) == ("V1", 0.75, "V1 0.75, 32 pixels")


def test_what_differs_is_named_and_the_config_is_whole():
    runs = [make_run(data="a", width=0.5), make_run(data="b", width=1.0)]
    first, second = group_data(group_runs(runs))
    assert first["label"] == "data a, width 0.5"
    assert second["differing"] == {"data.name": "b", "model.width": "1"}
    assert second["config"]["model.width"] == "1"
    assert second["config"]["augment.mean"] == "(127.5, 127.5, 127.5)"
    assert second["config"]["model.shortcut"] == "None"
    # A path of one machine, and what the runs of a group do not share.
    assert not {"data.data_dir", "seed"} & second["config"].keys()
    assert datasets(group_runs(runs)) == ["a", "b"]


def test_a_value_that_is_not_finite_is_none_in_valid_json():
    metrics = [
        *_losses([2.0, "NaN", math.inf]),
        {"step": 3, "split": "eval", "top1": math.nan},
    ]
    run = _with_result(_with_metrics(make_run(), metrics), top1="NaN", seconds=math.inf)
    (group,) = group_data(group_runs([run]))
    assert group["runs"][0]["loss"] == [[1, 2.0], [2, None], [3, None]]
    assert group["runs"][0]["evaluation"] == [[3, None]]
    assert group["top1"] is None
    assert group["facts"]["top1"] == "not finite"
    assert group["facts"]["seconds"] == "not finite"
    json.dumps(group, allow_nan=False)


def test_a_long_curve_becomes_means_of_neighbours():
    losses = [float(k) for k in range(1, 1001)]
    losses[998] = math.nan
    (group,) = group_data(group_runs([_with_metrics(make_run(), _losses(losses))]))
    run = group["runs"][0]
    assert run["reports"] == 4
    # Means of 1 to 4 and of 5 to 8, each at its last step.
    assert run["loss"][:2] == [[4, 2.5], [8, 6.5]]
    assert run["loss"][-1] == [1000, None]
    assert len(run["loss"]) == 250


def test_a_run_without_metrics_has_empty_curves():
    (group,) = group_data(group_runs([_with_metrics(make_run(), [])]))
    assert (group["runs"][0]["loss"], group["runs"][0]["evaluation"]) == ([], [])


def test_published_points_carry_their_source():
    points = published_data()
    assert {point["family"] for point in points} == {"V1", "V2"}
    assert all(dict(point["facts"])["source"] for point in points)
    assert all(point["madds"] > 1e6 and 20 < point["top1"] < 100 for point in points)
    # Table 4 of arXiv 1801.04381.
    (paper,) = [
        point
        for point in points
        if dict(point["facts"])["source"] == "arXiv 1801.04381 Table 4" and point["top1"] == 72.0
    ]
    assert (paper["madds"], dict(paper["facts"])["parameters"]) == (300e6, "3.4 M")


def test_short_names_keep_apart_what_would_be_equal():
    keys = ["model.name", "data.name", "model.width", "evaluation.batch_size", "batch_size"]
    assert short_names(keys) == {
        "model.name": "model",
        "data.name": "data",
        "model.width": "width",
        "evaluation.batch_size": "evaluation.batch_size",
        "batch_size": "batch_size",
    }


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (300_790_000, "301"),
        (15_300_000_000, "15,300"),
        (2_236_682, "2.24"),
        (531, "0.000531"),
        (0, "0"),
    ],
)
def test_millions_have_three_digits(count, text):
    assert format_millions(count) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (True, "True"),
        (0.1 + 0.2, "0.3"),
        (4e-5, "4e-05"),
        (1.0, "1"),
        ("same", "same"),
        ([0.05, 1.0], "(0.05, 1)"),
    ],
)
def test_values_read_as_on_the_command_line(value, text):
    assert format_value(value) == text
