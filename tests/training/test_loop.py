"""A run in this process: what it records and keeps, and what ends it."""

import json
import math
import signal

import numpy as np
import pytest

from mobilenet import config as base
from mobilenet.data import pipeline
from mobilenet.errors import ConfigError, UserError
from mobilenet.evaluation.evaluate import evaluate
from mobilenet.runs.metrics_file import read_metrics
from mobilenet.training import loop
from mobilenet.training.loop import Stopped, train

pytestmark = pytest.mark.usefixtures("tiny_network", "one_device", "cached_compilation")


def _steps(workdir):
    return sorted(int(path.name) for path in (workdir / "checkpoints").iterdir())


def _records(workdir, split):
    return [record for record in read_metrics(workdir) if record["split"] == split]


def _score_as(monkeypatch, name, values):
    """Gives the evaluations these values of a metric."""
    remaining = iter(values)

    def scored(*arguments, **keywords):
        return {**evaluate(*arguments, **keywords), name: next(remaining)}

    monkeypatch.setattr(loop, "evaluate", scored)


def test_a_run_records_itself_and_keeps_the_last_and_the_best(config, tmp_path, monkeypatch):
    _score_as(monkeypatch, "top1", [0.25, 0.75, 0.5])
    config.checkpoint.keep = 1
    config.log.every_steps = 3
    config.log.tensorboard = True
    config.schedule.name = "cosine"
    result = train(config, tmp_path)
    assert _steps(tmp_path) == [8, 10]
    assert json.loads((tmp_path / "result.json").read_text()) == result
    assert (result["step"], result["top1"], result["num_images"]) == (10, 0.5, 24)
    assert result["split"] == "test"
    assert list((tmp_path / "tensorboard").iterdir())
    training = _records(tmp_path, "train")
    # The first, every third, the last.
    assert [record["step"] for record in training] == [1, 3, 6, 9, 10]
    assert all(math.isfinite(record["loss"]) for record in training)
    assert result["seconds"] == pytest.approx(sum(record["seconds"] for record in training))
    # Half a cosine wave from the peak, after 0, 2, 5, 8 and 9 of 10 steps.
    peak = config.schedule.learning_rate
    rates = [peak * (1 + math.cos(math.pi * done / 10)) / 2 for done in (0, 2, 5, 8, 9)]
    np.testing.assert_allclose([r["learning_rate"] for r in training], rates, rtol=1e-5)
    assert [record["step"] for record in _records(tmp_path, "eval")] == [4, 8, 10]

    # A complete run gives its result and computes nothing.
    def refuse(*_, **__):
        raise AssertionError("nothing is left to compute")

    monkeypatch.setattr(loop, "evaluate", refuse)
    monkeypatch.setattr(loop._Run, "_train", refuse)
    metrics = (tmp_path / "metrics.jsonl").read_bytes()
    assert train(config, tmp_path) == result
    assert (tmp_path / "metrics.jsonl").read_bytes() == metrics

    # The same directory takes no other run.
    config.seed = 1
    config.optimizer.momentum = 0.8
    with pytest.raises(UserError, match=r"config\.optimizer\.momentum: 0\.9 .*config\.seed: 0"):
        train(config, tmp_path)
    assert _steps(tmp_path) == [8, 10]


def test_a_loss_that_is_not_finite_stops_at_its_step(config, tmp_path):
    config.schedule.update(name="exponential", decay_epochs=None, decay_steps=1)
    config.schedule.update(warmup_steps=4, learning_rate=1e30)
    config.ema_decay = None
    config.evaluation.every_steps = 10
    config.checkpoint.every_steps = 1
    with pytest.raises(UserError) as raised:
        train(config, tmp_path)
    last = _records(tmp_path, "train")[-1]
    assert not (math.isfinite(last["loss"]) and math.isfinite(last["gradient_norm"]))
    # The step before had a finite loss, and is saved.
    good = last["step"] - 1
    assert _steps(tmp_path)[-1] == good >= 1
    message = str(raised.value)
    assert f"The loss of step {last['step']} is " in message
    assert f"on batch {good} of seed 0 (epoch {good / 4.5:.2f})" in message
    assert f"step {good} is saved in {tmp_path}" in message
    assert not (tmp_path / "result.json").exists()
    # It says the same when started again.
    with pytest.raises(UserError, match=f"The loss of step {last['step']} is "):
        train(config, tmp_path)


def test_an_evaluation_loss_that_is_not_finite_is_no_number_in_the_result(
    config, tmp_path, monkeypatch
):
    _score_as(monkeypatch, "loss", [math.inf])
    config.total_steps = 2
    assert train(config, tmp_path)["loss"] is None
    assert json.loads((tmp_path / "result.json").read_text())["loss"] is None
    assert _records(tmp_path, "eval")[-1]["loss"] == math.inf


def test_a_signal_in_the_last_evaluation_leaves_it_to_the_next_start(config, tmp_path, monkeypatch):
    config.total_steps = 3

    def interrupted(*arguments, **keywords):
        signal.raise_signal(signal.SIGTERM)
        return evaluate(*arguments, **keywords)

    monkeypatch.setattr(loop, "evaluate", interrupted)
    with pytest.raises(Stopped, match=r"Step 3 of 3 is saved in .*: the same command goes on"):
        train(config, tmp_path)
    assert _steps(tmp_path) == [2, 3]
    assert not _records(tmp_path, "eval")
    # A second signal at the same place changes nothing.
    with pytest.raises(Stopped, match="Step 3 of 3 is saved"):
        train(config, tmp_path)
    monkeypatch.setattr(loop, "evaluate", evaluate)
    assert train(config, tmp_path)["step"] == 3


@pytest.mark.parametrize(
    ("key", "value"),
    [("data.decoder", "pil"), ("data.eval_crop", "left"), ("seed", -1), ("model.width", -1.0)],
)
def test_a_config_that_cannot_work_occupies_no_directory(config, tmp_path, key, value):
    config.update_from_flattened_dict({key: value})
    with pytest.raises(ConfigError, match=key.removeprefix("model.")):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_skipped_images_are_counted(config, tmp_path, monkeypatch):
    next_batch = pipeline.Batches.__next__

    def damaged(batches):
        batch = next_batch(batches)
        return {**batch, "mask": np.where(np.arange(16) < 13, batch["mask"], 0)}

    monkeypatch.setattr(pipeline.Batches, "__next__", damaged)
    config.evaluation.every_steps = None
    config.data.on_corrupt = "skip"
    config.total_steps = 4
    config.log.every_steps = 2
    train(config, tmp_path)
    skipped = {record["step"]: record["skipped_images"] for record in _records(tmp_path, "train")}
    assert skipped == {1: 3, 2: 3, 4: 6}


def test_training_may_see_another_resolution_than_evaluation(config, tmp_path, monkeypatch):
    shapes, next_batch = [], pipeline.Batches.__next__

    def recorded(batches):
        batch = next_batch(batches)
        shapes.append(batch["images"].shape[1:3])
        return batch

    monkeypatch.setattr(pipeline.Batches, "__next__", recorded)
    config.total_steps = 1
    config.data.train_resolution = 24
    result = train(config, tmp_path)
    assert shapes == [(24, 24), (16, 16), (16, 16)]  # 24 images of test, in batches of 16
    # The cost is that of the network that is evaluated.
    config.data.train_resolution = None
    assert train(config, tmp_path / "same")["madds"] == result["madds"]


def test_images_may_be_wider_than_high(config, tmp_path):
    config.total_steps = 2
    config.model.resolution = (16, 24)
    square = train(config, tmp_path / "wide")["madds"]
    config.model.resolution = 16
    assert square > train(config, tmp_path / "square")["madds"]


def test_the_step_takes_nothing_that_was_not_sent_on_purpose(config, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "to_devices", lambda batch, _: batch)
    with pytest.raises(Exception, match="Disallowed host-to-device transfer"):
        train(config, tmp_path)


def test_a_smoke_run_takes_two_steps_on_fake_data(config, tmp_path):
    config.schedule.warmup_epochs = 5.0
    base.smoke(config)
    config.data.update(name="nothing", data_dir="/nowhere", fake=True)
    config.data.update(fake_classes=3, fake_examples=40)
    result = train(config, tmp_path)
    assert (result["step"], result["num_images"], result["split"]) == (2, 16, "test[:16]")
    records = [(record["split"], record["step"]) for record in read_metrics(tmp_path)]
    assert records == [("train", 1), ("train", 2), ("eval", 2)]
    assert _steps(tmp_path) == [2]
