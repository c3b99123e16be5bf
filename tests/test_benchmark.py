"""The benchmark as a command."""

import json
import pathlib
import statistics
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).parents[1]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(_ROOT / "scripts" / "benchmark.py"), *arguments]
    return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=600)


def test_an_unknown_peer_is_named_with_the_known_ones():
    result = run("train_step", "--peers=mxnet")
    assert result.returncode == 1
    assert result.stderr == "error: --peers: 'mxnet' is unknown; choose from flax.\n"


@pytest.mark.slow
def test_every_round_times_each_contender_and_gives_a_ratio():
    small = ("--model=mobilenet_v1", "--width=0.25", "--resolution=32", "--batch_size=2")
    result = run("train_step", *small, "--rounds=3", "--peers=flax", "--format=json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    ours, flax = (report["seconds_per_step"][name] for name in ("mobilenet", "flax"))
    ratios = [b / a for a, b in zip(ours, flax, strict=True)]
    assert len(ratios) == 3
    assert report["ratio_to"]["flax"]["rounds"] == pytest.approx(ratios)
    assert report["ratio_to"]["flax"]["median"] == pytest.approx(statistics.median(ratios))
    assert report["images_per_second"]["flax"] == pytest.approx(2 / statistics.median(flax))
    assert report["workload"]["batch_size"] == 2
