import math

import pytest

from mobilenet.runs.groups import group_runs
from mobilenet.runs.run_directory import flatten


def test_runs_of_other_seeds_are_one_group(make_run):
    runs = [
        make_run("b", {"seed": 1, "model.width": 0.5}, top1=0.6),
        make_run("c", {"seed": 0, "model.width": 1.0}, top1=0.9),
        make_run("a", {"seed": 0, "model.width": 0.5}, top1=0.5),
        make_run("d", {"seed": 2, "model.width": 0.5}, top1=0.7),
    ]
    narrow, wide = group_runs(runs)
    assert [run.name for run in narrow.runs] == ["a", "b", "d"]
    assert narrow.overrides == {"model.width": 0.5}
    assert narrow.mean("top1") == pytest.approx(0.6)
    # Of a sample: ((0.1^2 + 0 + 0.1^2) / 2) ^ 0.5.
    assert narrow.stddev("top1") == pytest.approx(0.1)
    assert wide.stddev("top1") is None
    assert (narrow.spread("top1"), wide.spread("top1")) == ("60.00 ± 10.00", "90.00")


@pytest.mark.parametrize("top1", [math.nan, None])  # None as in a result
def test_a_seed_that_is_not_finite_has_no_spread(make_run, top1):
    runs = [make_run("a", {"seed": 0}, top1=0.5), make_run("b", {"seed": 1}, top1=top1)]
    (group,) = group_runs(runs)
    assert math.isnan(group.mean("top1"))
    assert math.isnan(group.stddev("top1"))
    assert group.spread("top1") == "not finite"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # What changes no weight, and a key that came later at None.
        ({"data.data_dir": "/x", "log.every_steps": 1}, {"data.data_dir": "/y", "seed": 1}),
        ({}, {"model.new": None, "seed": 1}),
    ],
)
def test_what_makes_no_group(make_run, one, other):
    (group,) = group_runs([make_run("a", one), make_run("b", other)])
    assert len(group.runs) == 2
    assert group.overrides == {}


def test_a_run_that_is_given_twice_counts_once(make_run):
    (group,) = group_runs([make_run("a"), make_run("a")])
    assert len(group.runs) == 1


def test_a_key_that_only_some_configs_have_differs(make_run):
    old, new = make_run("a"), make_run("b", {"model.new": 3})
    assert [g.overrides for g in group_runs([old, new])] == [{"model.new": None}, {"model.new": 3}]


def test_flatten_joins_keys():
    assert flatten({"a": 1, "b": {"c": {"d": 2}, "e": None}}) == {"a": 1, "b.c.d": 2, "b.e": None}
