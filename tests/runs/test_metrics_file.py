"""metrics.jsonl stays valid and without doubles whatever happened to the run before."""

import json
import math
import os
import re
import resource

import jax.numpy as jnp
import numpy as np
import pytest

from mobilenet.errors import UserError
from mobilenet.runs.metrics_file import MetricsFile, read_metrics


def _write(directory, steps, *, start_step=0):
    file = MetricsFile(directory, start_step=start_step)
    for step in steps:
        file.write(step, "train", {"loss": step / 10})
    file.close()


def _steps(directory):
    return [record["step"] for record in read_metrics(directory)]


def test_a_record_is_one_line_of_json(tmp_path):
    file = MetricsFile(tmp_path, start_step=0)
    metrics = {"accuracy": np.float32(0.5), "loss": jnp.float32(0.25), "images": np.int32(100)}
    file.write(3, "eval", metrics)
    # Before `close`: a kill loses nothing.
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    with pytest.raises(ValueError, match="named 'step'"):
        file.write(1, "train", {"step": 2.0})
    file.close()
    assert [json.loads(line) for line in lines] == [
        {"step": 3, "split": "eval", "accuracy": 0.5, "loss": 0.25, "images": 100}
    ]
    assert '"images": 100}' in lines[0]


def test_numbers_that_are_not_finite_survive_in_valid_json(tmp_path):
    file = MetricsFile(tmp_path, start_step=0)
    file.write(1, "train", {"a": math.nan, "b": math.inf, "c": -math.inf})
    file.close()

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    json.loads((tmp_path / "metrics.jsonl").read_text(), parse_constant=refuse)
    (record,) = read_metrics(tmp_path)
    assert math.isnan(record["a"])
    assert (record["b"], record["c"]) == (math.inf, -math.inf)


@pytest.mark.parametrize(
    ("before", "start_step", "steps", "left"),
    [
        ([1, 10, 20, 30], 20, [30, 40], [1, 10, 20, 30, 40]),
        # An evaluation before the first step survives; a new run starts with an empty file.
        ([0, 10, 20], 10, [], [0, 10]),
        ([0, 10], 0, [], []),
    ],
)
def test_a_resume_drops_what_came_after_its_checkpoint(tmp_path, before, start_step, steps, left):
    assert read_metrics(tmp_path) == []
    _write(tmp_path, before)
    _write(tmp_path, steps, start_step=start_step)
    assert _steps(tmp_path) == left


@pytest.mark.parametrize("cut", [1, 2, 10, 30])
def test_a_half_written_last_line_is_dropped(tmp_path, cut):
    path = tmp_path / "metrics.jsonl"
    _write(tmp_path, [10, 20])
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    # Only the newline was cut off: the record is complete.
    left = [10, 20] if cut == 1 else [10]
    assert _steps(tmp_path) == left
    _write(tmp_path, [30], start_step=20)
    assert _steps(tmp_path) == [*left, 30]
    assert path.read_bytes().startswith(whole if cut == 1 else whole[: len(whole) // 2])


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    _write(tmp_path, [10, 20])
    path.write_text("garbage\n" + path.read_text())
    with pytest.raises(UserError, match=rf"Line 1 of {re.escape(str(path))} is no record"):
        MetricsFile(tmp_path, start_step=20)


def test_a_kill_while_the_file_is_being_cleaned_loses_nothing(tmp_path, monkeypatch):
    _write(tmp_path, [10, 20, 30])

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            MetricsFile(tmp_path, start_step=20)
    assert _steps(tmp_path) == [10, 20, 30]


def test_a_directory_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"Cannot write .*metrics\.jsonl: No such file"):
        MetricsFile(tmp_path / "absent", start_step=0)


def test_a_full_disk_on_a_resume_is_one_sentence_and_loses_nothing(tmp_path):
    _write(tmp_path, [10, 20])
    # The kernel's own full disk.
    (tmp_path / f".metrics.jsonl.{os.getpid()}.tmp").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"^Cannot write .*metrics\.jsonl: the disk is full: .+\.$"):
        MetricsFile(tmp_path, start_step=20)
    assert _steps(tmp_path) == [10, 20]


def test_a_write_that_fails_half_way_is_one_sentence_and_the_next_resume_mends_it(tmp_path):
    path = tmp_path / "metrics.jsonl"
    file = MetricsFile(tmp_path, start_step=0)
    file.write(10, "train", {"loss": 1.0})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Room for half of the second record.
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size * 3 // 2, limits[1]))
    try:
        with pytest.raises(UserError, match=r"^Cannot write .*metrics\.jsonl: .+\.$"):
            file.write(20, "train", {"loss": 1.0})
        file.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not path.read_bytes().endswith(b"\n")
    _write(tmp_path, [20], start_step=10)
    assert _steps(tmp_path) == [10, 20]
