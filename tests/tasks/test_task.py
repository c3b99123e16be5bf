"""A task of its own file is trained, resumed, evaluated, swept and tabled like any other."""

import csv
import io
import json

import numpy as np
import pytest

from mobilenet.data.datasets import open_split
from mobilenet.errors import ConfigError
from mobilenet.evaluation.of_run import evaluate_run
from mobilenet.runs.metrics_file import read_metrics
from mobilenet.runs.weights import open_weights
from mobilenet.tasks.choose import choose_task
from mobilenet.training.loop import Stopped, train
from tests.helpers import mean_color
from tests.helpers.states import assert_equal

pytestmark = pytest.mark.usefixtures("tiny_network", "one_device", "cached_compilation")


@pytest.fixture
def config(data_dir):
    config = mean_color.get_config()
    config.data.data_dir = str(data_dir)
    return config


def test_it_trains_resumes_bit_for_bit_and_is_evaluated(config, tmp_path, monkeypatch):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    result = train(config, whole)
    assert result["best"] == "r2"
    assert "top1" not in result
    evaluated = [record for record in read_metrics(whole) if record["split"] == "eval"]
    assert evaluated[-1]["r2"] == result["r2"]

    stops = iter([False] * 4 + [True] * 10)
    with monkeypatch.context() as patch:
        patch.setattr("mobilenet.training.loop.agreed", lambda _: lambda: next(stops))
        with pytest.raises(Stopped):
            train(config, broken)
    assert train(config, broken)["step"] == result["step"]
    first, second = open_weights(whole), open_weights(broken)
    assert_equal((first.params, first.batch_stats), (second.params, second.batch_stats))

    again = evaluate_run(whole, checkpoint="last")
    assert again["r2"] == pytest.approx(result["r2"], rel=1e-6)
    best = max(evaluated, key=lambda record: record["r2"])
    assert evaluate_run(whole, checkpoint="best")["step"] == best["step"]


def test_its_target_is_of_its_images(config):
    split = open_split(config.data, "test")
    task = choose_task(config)
    # The images are gray: the stripes of 188 and 68, and noise that cancels out.
    colors = np.stack([task.target(split, split.source[i], None)["color"] for i in range(24)])
    np.testing.assert_allclose(colors, 128 / 255, atol=0.05)
    assert not task.target(split, None, None)["color"].any()


def test_it_is_swept_and_tabled(start_sweep, run_script, tmp_path):
    workdir = tmp_path / "sweep"
    sweep = start_sweep(
        workdir,
        "product({'seed': [0, 1]})",
        "--launcher=local",
        "--base.total_steps=2",
        base="mean_color.py",
    )
    _, errors = sweep.communicate(timeout=300)
    assert sweep.returncode == 0, errors
    results = [json.loads(path.read_text()) for path in sorted(workdir.glob("*/result.json"))]
    assert [result["best"] for result in results] == ["r2", "r2"]
    table = run_script("scripts/results.py", workdir, "--format=csv")
    (row,) = csv.DictReader(io.StringIO(table.stdout))
    mean = np.mean([result["r2"] for result in results])
    assert float(row["r2_mean"]) == pytest.approx(mean, rel=1e-6)


def test_an_unknown_task_is_named(config):
    config.task = "captions"
    with pytest.raises(ConfigError, match=r"config\.task is 'captions': it must be classification"):
        choose_task(config)
