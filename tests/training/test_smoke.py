"""The variant `smoke` of a config trains to its end, without data too."""

import pytest

from mobilenet import config as base
from mobilenet.runs.metrics_file import read_metrics
from mobilenet.training.loop import train
from tests.helpers.small_config import get_config


@pytest.mark.usefixtures("tiny_network", "one_device", "cached_compilation")
def test_a_smoke_run_takes_two_steps_on_fake_data(tmp_path):
    config = get_config()
    config.schedule.warmup_epochs = 5.0
    base.smoke(config)
    config.data.update(name="nothing", data_dir="/nowhere", fake=True)
    config.data.update(fake_classes=3, fake_examples=40)
    result = train(config, tmp_path / "run")
    assert (result["step"], result["num_images"], result["split"]) == (2, 16, "test[:16]")
    records = read_metrics(tmp_path / "run")
    assert [(r["split"], r["step"]) for r in records] == [("train", 1), ("train", 2), ("eval", 2)]
    assert (tmp_path / "run" / "checkpoints" / "2").is_dir()
