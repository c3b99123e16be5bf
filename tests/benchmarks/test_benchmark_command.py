"""scripts/benchmark.py as a command."""

import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys

import cv2
import numpy as np
import pytest

from mobilenet.data.writer import DatasetWriter, Example, new_dataset_directory

ROOT = pathlib.Path(__file__).parents[2]
SMALL = ("--model=mobilenet_v1_025", "--resolution=32", "--batch_size=2", "--seconds=0.05")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "benchmark.py"), *arguments]
    # As a user starts it, without the eight devices of the tests.
    environment = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Name one benchmark first, train_step, inference, input, compile, not nothing."),
        (("input", "--source_size=500x375"), "--data is missing: name a dataset of photographs;"),
        (("compile", "--peers=torch"), "--peers means nothing to compile: leave it out."),
        (("train_step", "--peers=mxnet"), "--peers: train_step has no peer 'mxnet'; choose from"),
    ],
)
def test_a_mistake_is_answered_by_one_sentence(run_script, arguments, message):
    result = run_script("scripts/benchmark.py", *arguments)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {message}")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


@pytest.mark.slow
@pytest.mark.parametrize("benchmark", ["train_step", "inference"])
def test_every_round_measures_ours_beside_each_peer(benchmark):
    result = run(benchmark, *SMALL, "--rounds=3", "--peers=flax,torch", "--format=json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["workload"]["width"] == 0.25
    assert report["machine"]["threads"] >= 1
    has_torch = all(importlib.util.find_spec(name) for name in ("torch", "torchvision"))
    peers = ["flax", "torch"] if has_torch else ["flax"]
    assert list(report["ratio_to"]) == peers
    assert ("torch" in report["left_out"]) != has_torch
    ours = report["images_per_second"]["mobilenet"]["rounds"]
    assert len(ours) == 3 * len(peers)
    for number, peer in enumerate(peers):
        own = ours[3 * number : 3 * number + 3]
        theirs = report["images_per_second"][peer]["rounds"]
        ratios = [a / b for a, b in zip(own, theirs, strict=True)]
        assert report["ratio_to"][peer]["rounds"] == pytest.approx(ratios)
        assert report["ratio_to"][peer]["median"] == pytest.approx(statistics.median(ratios))


@pytest.mark.slow
def test_a_peer_that_cannot_compute_this_is_left_out_with_its_reason():
    pytest.importorskip("keras", reason="Keras is not installed")
    small = ("--model=mobilenet_v1_025", "--resolution=16", "--batch_size=2", "--seconds=0")
    result = run("train_step", *small, "--rounds=1", "--peers=keras", "--format=json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["left_out"]["keras"].startswith("ValueError: ")
    assert list(report["images_per_second"]) == ["mobilenet"]


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["keras", "torch", "torch_compile", "onnxruntime"])
@pytest.mark.parametrize("model", ["mobilenet_v1_025", "mobilenet_v2_035"])
def test_every_installed_peer_runs(peer, model):
    modules = {"keras": "tensorflow", "onnxruntime": "onnxruntime"}.get(peer, "torchvision")
    if importlib.util.find_spec(modules) is None:
        pytest.skip(f"{modules} is not installed")
    result = run("inference", *SMALL, f"--model={model}", "--rounds=1", f"--peers={peer}")
    assert result.returncode == 0, result.stderr
    assert "left out" not in result.stdout


@pytest.mark.slow
def test_input_reads_a_dataset_and_its_resized_copy(tmp_path):
    rng = np.random.default_rng(0)
    with new_dataset_directory("noise", tmp_path) as directory:
        writer = DatasetWriter(directory, "noise", ["a"])
        noise = rng.integers(0, 256, (12, 40, 60, 3)).astype(np.uint8)
        files = [cv2.imencode(".jpg", image)[1].tobytes() for image in noise]
        examples = [Example(data, 0, "") for data in files]
        writer.write_split("train", examples, num_examples=12, num_bytes=0)
        writer.write_metadata(description="For tests.")
    small = ("--data=noise", f"--data_dir={tmp_path}", "--resolution=32", "--batch_size=4")
    options = ("--rounds=1", "--seconds=0.05", "--format=json")
    sizes = []
    for source in ((), ("--source_size=120x80",)):
        result = run("input", *small, *options, *source)
        assert result.returncode == 0, result.stderr
        report = json.loads(result.stdout)
        has_tensorflow = importlib.util.find_spec("tensorflow") is not None
        assert ("tfdata" in report["ratio_to"]) == has_tensorflow
        speed = report["images_per_second"]["mobilenet"]["median"]
        threads = report["machine"]["threads"]
        assert report["images_per_second_per_core"]["mobilenet"] == pytest.approx(speed / threads)
        sizes.append(report["workload"]["mean_jpeg_bytes"])
    assert sizes[0] == round(sum(map(len, files)) / 12)
    assert sizes[1] > sizes[0]


@pytest.mark.slow
def test_compile_times_train_py():
    small = ("--model=mobilenet_v1_025", "--resolution=32", "--batch_size=4")
    result = run("compile", *small, "--rounds=1", "--format=json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    (cold,), (warm,) = (report["seconds"][name]["rounds"] for name in ("cold", "warm"))
    assert report["cold_over_warm"]["rounds"] == pytest.approx([cold / warm])
