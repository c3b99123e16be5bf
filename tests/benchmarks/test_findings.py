"""The arithmetic of a report, against numbers worked out by hand, and its text."""

import pytest

from benchmarks.findings import describe_machine, format_report, summarize_starts, summarize_turns
from benchmarks.turns import Turns

# Seconds a batch of 8 images, ours first.
PAIRS = {"torch": [(1.0, 2.0), (2.0, 2.0), (4.0, 2.0)], "flax": [(1.0, 8.0)]}


@pytest.fixture
def summary():
    return summarize_turns(Turns(PAIRS, [], {"keras": "no"}), batch_size=8)


def test_a_ratio_is_of_one_pair_and_the_speed_of_ours_of_all_its_measurements(summary):
    ratios = summary["ratio_to"]
    assert ratios["torch"] == {"median": 1.0, "min": 0.5, "max": 2.0, "rounds": [2.0, 1.0, 0.5]}
    assert ratios["flax"]["rounds"] == [8.0]
    ours = summary["images_per_second"]["mobilenet"]
    assert ours["rounds"] == [8.0, 4.0, 2.0, 8.0]
    assert (ours["median"], ours["min"], ours["max"]) == (6.0, 2.0, 8.0)
    assert summary["images_per_second"]["torch"]["median"] == 4.0


def test_ours_alone_has_a_speed_and_no_ratio():
    summary = summarize_turns(Turns({}, [0.5, 0.25], {}), batch_size=1)
    assert summary["images_per_second"] == {
        "mobilenet": {"median": 3.0, "min": 2.0, "max": 4.0, "rounds": [2.0, 4.0]}
    }
    assert summary["ratio_to"] == {}


def test_the_ratio_of_starts_is_taken_round_by_round():
    summary = summarize_starts([(30.0, 10.0), (40.0, 10.0), (45.0, 9.0)])
    assert summary["seconds"]["cold"]["median"] == 40.0
    assert summary["seconds"]["warm"]["median"] == 10.0
    assert summary["cold_over_warm"]["rounds"] == [3.0, 4.0, 5.0]


def test_the_machine_names_processor_threads_and_the_versions_of_peers():
    # Stands for a peer, whose module and package have different names as well.
    machine = describe_machine(2, ["cv2", "no_such_module"])
    assert machine["threads"] == 2
    assert machine["devices"]["platform"] == "cpu"
    assert {"python", "jax", "flax", "opencv-python-headless"} <= machine["versions"].keys()


def test_the_table_has_a_line_for_every_contender(summary):
    report = {
        "benchmark": "input",
        "workload": {"data": "photos", "batch_size": 8},
        "machine": describe_machine(2, []),
        **summary,
    }
    lines = format_report(report).splitlines()
    assert lines[0] == "input: data photos, batch_size 8"
    assert "2 threads" in lines[1]
    assert lines[-4:] == [
        "mobilenet      6.00       3.0",
        "torch          4.00       2.0  1.00 (0.50 to 2.00)",
        "flax           1.00       0.5  8.00 (8.00 to 8.00)",
        "keras: left out, no",
    ]


def test_the_table_of_starts_has_cold_warm_and_their_ratio():
    report = {
        "benchmark": "compile",
        "workload": {"batch_size": 8},
        "machine": describe_machine(1, []),
        **summarize_starts([(30.0, 10.0)]),
    }
    lines = format_report(report).splitlines()
    assert lines[-3:] == [
        "cold      30.0 s (30.0 to 30.0)",
        "warm      10.0 s (10.0 to 10.0)",
        "cold / warm, median (min to max)   3.00 (3.00 to 3.00)",
    ]
