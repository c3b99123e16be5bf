"""Bounds and ratios, from figures whose answers are known by hand."""

import dataclasses
import json

import jax
import pytest

from mobilenet.ahead.bounds import bound, format_report, make_report
from mobilenet.ahead.chips import CHIPS
from mobilenet.ahead.compile import StepCost
from mobilenet.ahead.hlo import Collective
from mobilenet.ahead.topology import Slice

COST = StepCost(
    images=100,
    compile_seconds=12.34,
    arguments=10**9,
    temporaries=2 * 10**9,
    code=0,
    total=3 * 10**9,
    flops=197e9,
    bytes_accessed=16.38e9,
    hbm_traffic=8_190_000_000,
    collectives={"all-reduce": Collective(2, 14_000_000)},
)
SLICE = Slice("v5e:2x2", CHIPS["v5e"], jax.devices()[:4])


def test_the_slower_of_memory_and_arithmetic_bounds():
    # 8.19 GB at 819 GB/s take 10 ms, 197 GFLOP at 197 TFLOP/s 1 ms.
    found = bound(COST, CHIPS["v5e"])
    assert found["memory"] == pytest.approx(10_000)
    assert found["arithmetic"] == pytest.approx(100_000)
    assert (found["images_per_second"], found["by"]) == (found["memory"], "memory")


def test_the_report_holds_every_figure_and_the_ratios():
    plain = dataclasses.replace(COST, bytes_accessed=32.76e9, total=17 * 10**9)
    report = json.loads(json.dumps(make_report(SLICE, {"train": COST, "flax": plain})))
    assert (report["topology"], report["chips"]) == ("v5e:2x2", 4)
    assert report["chip"]["source"] == "https://cloud.google.com/tpu/docs/v5e"
    assert report["train_over_flax"] == {"flops": 1, "bytes_accessed": 0.5, "hbm_traffic": 1}
    ours = report["steps"]["train"]
    assert ours["collectives"] == {"all-reduce": {"count": 2, "bytes": 14_000_000}}
    assert ours["hbm"]["fits"]
    assert not report["steps"]["flax"]["hbm"]["fits"]  # 17 of 16 GB


def test_the_table_says_it_in_units_for_people():
    lines = format_report(make_report(SLICE, {"train": COST})).splitlines()
    assert lines[0] == "v5e:2x2, 4 chips; per chip and step:"
    assert any("10,000 images/s, by memory" in line for line in lines)
    assert any("163.8 MB an image" in line for line in lines)
