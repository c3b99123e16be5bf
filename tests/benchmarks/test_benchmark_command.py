"""scripts/benchmark.py as a command."""

import importlib.util
import json
import pathlib
import statistics

import cv2
import numpy as np
import pytest

from tests.helpers import toy_dataset

ROOT = pathlib.Path(__file__).parents[2]
SMALL = ("--resolution=32", "--batch_size=2")
TINY = ("--model=mobilenet_v1_025", "--seconds=0.05")


@pytest.fixture
def benchmark(start_program):
    """Runs the command on little work to its end, and returns what it prints."""

    def run(name: str, *arguments: str) -> str:
        process = start_program(ROOT / "scripts" / "benchmark.py", name, *SMALL, *arguments)
        output, errors = process.communicate(timeout=900)
        assert process.returncode == 0, errors
        return output

    return run


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
@pytest.mark.parametrize("name", ["train_step", "inference"])
def test_every_round_measures_ours_beside_each_peer(benchmark, name):
    peers = ("--rounds=3", "--peers=flax,torch")
    report = json.loads(benchmark(name, *TINY, *peers, "--format=json"))
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
def test_a_peer_that_cannot_compute_this_is_left_out_with_its_reason(benchmark):
    pytest.importorskip("keras", reason="Keras is not installed")
    too_small = ("--resolution=16", "--rounds=1", "--peers=keras")
    report = json.loads(benchmark("train_step", *TINY, *too_small, "--format=json"))
    assert report["left_out"]["keras"].startswith("ValueError: ")
    assert list(report["images_per_second"]) == ["mobilenet"]


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["keras", "torch", "torch_compile", "onnxruntime"])
@pytest.mark.parametrize("model", ["mobilenet_v1_025", "mobilenet_v2_035"])
def test_every_installed_peer_runs(benchmark, peer, model):
    modules = {"keras": "tensorflow", "onnxruntime": "onnxruntime"}.get(peer, "torchvision")
    if importlib.util.find_spec(modules) is None:
        pytest.skip(f"{modules} is not installed")
    table = benchmark("inference", *TINY, f"--model={model}", "--rounds=1", f"--peers={peer}")
    assert "left out" not in table


@pytest.mark.slow
def test_input_reads_a_dataset_and_its_resized_copy(benchmark, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (12, 40, 60, 3)).astype(np.uint8)
    files = [cv2.imencode(".jpg", image)[1].tobytes() for image in noise]
    toy_dataset.write(tmp_path, "noise", {"train": files})
    options = ("--data=noise", f"--data_dir={tmp_path}", "--rounds=1", "--seconds=0.05")
    sizes = []
    for source in ((), ("--source_size=120x80",)):
        report = json.loads(benchmark("input", *options, *source, "--format=json"))
        has_tensorflow = importlib.util.find_spec("tensorflow") is not None
        assert ("tfdata" in report["ratio_to"]) == has_tensorflow
        speed = report["images_per_second"]["mobilenet"]["median"]
        threads = report["machine"]["threads"]
        assert report["images_per_second_per_core"]["mobilenet"] == pytest.approx(speed / threads)
        sizes.append(report["workload"]["mean_jpeg_bytes"])
    assert sizes[0] == round(sum(map(len, files)) / 12)
    assert sizes[1] > sizes[0]


@pytest.mark.slow
def test_compile_times_train_py(benchmark):
    options = ("--model=mobilenet_v1_025", "--rounds=1", "--format=json")
    report = json.loads(benchmark("compile", *options))
    (cold,), (warm,) = (report["seconds"][name]["rounds"] for name in ("cold", "warm"))
    assert report["cold_over_warm"]["rounds"] == pytest.approx([cold / warm])
