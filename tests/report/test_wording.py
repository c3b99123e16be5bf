"""Numbers and values of configs in words."""

import dataclasses

import pytest
from synthetic_runs import make_run

from mobilenet.report.wording import (
    describe_start,
    format_millions,
    format_value,
    joined,
    label,
    short_label,
    short_names,
)
from mobilenet.runs.groups import group_runs


def test_a_group_is_called_by_what_differs_or_by_its_network():
    groups = group_runs([make_run(data="a", width=0.5), make_run(data="b", width=1.0)])
    assert [label(group) for group in groups] == ["data a, width 0.5", "data b, width 1"]
    (group,) = group_runs([make_run(width=0.5)])
    assert label(group) == "mobilenet_v2 0.5, 32 pixels"


def test_a_name_may_hold_the_width():
    run = make_run()
    model = run.config["model"] | {"name": "mobilenet_v1_075", "width": None}
    (group,) = group_runs([dataclasses.replace(run, config=run.config | {"model": model})])
    assert label(group) == "mobilenet_v1 0.75, 32 pixels"


def test_a_name_that_is_long_leaves_room_for_a_chart():
    groups = group_runs([make_run(data=name * 80, width=0.5) for name in "ab"])
    assert [short_label(group) for group in groups] == ["mobilenet_v2 0.5, 32 pixels"] * 2


def test_a_start_names_its_versions_where_they_are_known():
    run = make_run()
    cpu = "2 cores of Intel(R) Xeon(R) CPU @ 2.80GHz"
    assert describe_start(run) == cpu
    known = {"versions": {"jax": "0.10.2"}, "git": {"commit": "0123456789abcdef", "dirty": True}}
    run = dataclasses.replace(run, environment={"starts": [run.environment["starts"][0] | known]})
    assert describe_start(run) == f"{cpu}, JAX 0.10.2, commit 0123456789ab, changed"


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


def test_names_are_joined_once_each():
    assert joined(["a", "b", "a", "c"]) == "a, b and c"
