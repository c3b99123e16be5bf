import json

import pytest

from mobilenet.sweeps.status import Status, last_error_line, read_status
from mobilenet.sweeps.sweep import PlannedRun


def _run(directory):
    return PlannedRun("a", {}, directory, (), "top1")


def test_a_status_is_read_from_the_metrics(tmp_path):
    run = _run(tmp_path)
    records = [
        {"step": 5, "split": "train", "total_steps": 20, "seconds_left": 9.0},
        {"step": 5, "split": "eval", "top1": 0.25},
        {"step": 10, "split": "train", "total_steps": 20, "seconds_left": 4.5},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    assert read_status(run, "running") == Status("a", "running", 10, 20, "top-1 25.00%", 4.5)
    assert read_status(run, "failed", "why").seconds_left is None


def test_a_run_that_has_not_begun_has_no_steps(tmp_path):
    assert read_status(_run(tmp_path / "absent"), "waiting") == Status("a", "waiting")


def test_unreadable_metrics_do_not_end_the_sweep(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("what\n{}\n")
    assert "is no record of metrics" in read_status(_run(tmp_path), "running").message


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("step 1\nerror: no data\nsome thread says goodbye\n", "error: no data"),
        ("Traceback\n  File\nZeroDivisionError: division\n\n", "ZeroDivisionError: division"),
        ("", "it ended without a word"),
        ("x" * 100_000 + "\nKilled\n", "Killed"),
    ],
)
def test_the_last_error_is_found(tmp_path, log, line):
    (tmp_path / "log").write_text(log)
    assert last_error_line(tmp_path / "log") == line


def test_an_error_of_an_earlier_start_is_not_found(tmp_path):
    log = tmp_path / "log"
    log.write_text("error: the disk is full\n")
    offset = log.stat().st_size
    with log.open("a") as file:
        file.write("Traceback\nZeroDivisionError: division\n")
    assert last_error_line(log, offset) == "ZeroDivisionError: division"
