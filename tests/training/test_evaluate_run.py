"""What eval.py does: which checkpoint, which weights and which images a number belongs to."""

import json
import math
import shutil

import jax
import numpy as np
import pytest
import small_config
import stripes
from jax.sharding import AxisType, Mesh

from mobilenet.architecture import V1_ROWS
from mobilenet.errors import ConfigError, UserError
from mobilenet.evaluation import evaluate
from mobilenet.training import evaluate_run as module
from mobilenet.training import loop
from mobilenet.training.checkpoint import Checkpoints
from mobilenet.training.evaluate_run import evaluate_run
from mobilenet.training.experiment import build_network
from mobilenet.training.mesh import replicated
from mobilenet.training.metrics_file import read_metrics
from mobilenet.training.run_directory import read_config

_BEST, _LAST = 4, 10


@pytest.fixture(scope="module")
def run(data_dir, tmp_path_factory):
    """A run with the checkpoints of steps 4 and 10, of which the first has the better top-1."""
    mesh = Mesh(jax.devices()[:1], ("data",), axis_types=(AxisType.Auto,))
    scores = iter([0.9, 0.5, 0.6])

    def scored(*arguments, **keywords):
        return {**evaluate(*arguments, **keywords), "top1": next(scores)}

    with pytest.MonkeyPatch.context() as patch:
        # As the fixtures tiny_network and one_device, for all tests here.
        patch.setattr("mobilenet.architecture.V1_ROWS", V1_ROWS[:2])
        patch.setattr("mobilenet.training.mesh.make_mesh", lambda: mesh)
        patch.setattr(loop, "evaluate", scored)
        config = small_config.get_config()
        config.data.data_dir = str(data_dir)
        config.checkpoint.keep = 1
        directory = tmp_path_factory.mktemp("evaluated") / "run"
        loop.train(config, directory)
        yield directory


@pytest.fixture
def evaluated_weights(monkeypatch):
    """The (params, batch_stats) that were evaluated, one pair a call."""
    seen = []

    def watched(eval_step, params, batch_stats, *arguments, **keywords):
        seen.append((params, batch_stats))
        return evaluate(eval_step, params, batch_stats, *arguments, **keywords)

    monkeypatch.setattr(module, "evaluate", watched)
    return seen


def _recorded_loss(run, step):
    (record,) = (r for r in read_metrics(run) if r["split"] == "eval" and r["step"] == step)
    return record["loss"]


def _copy(run, tmp_path, **changes):
    """The run in another place, without its checkpoints, with top-level keys changed."""
    directory = tmp_path / "copy"
    directory.mkdir()
    config = json.loads((run / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, **changes}))
    return directory


def test_the_last_average_on_the_runs_own_split_is_the_default(run):
    result = evaluate_run(run)
    assert (result["step"], result["weights"], result["split"]) == (_LAST, "ema", "test")
    assert result["num_images"] == stripes.TEST
    assert result["loss"] == pytest.approx(_recorded_loss(run, _LAST), rel=1e-6)
    assert result["top5"] == 1  # of three classes
    written = [json.loads(line) for line in (run / "evaluations.jsonl").read_text().splitlines()]
    assert written[-1] == result
    evaluate_run(run)
    assert len((run / "evaluations.jsonl").read_text().splitlines()) == len(written) + 1


@pytest.mark.parametrize(
    ("checkpoint", "step"), [("best", _BEST), ("last", _LAST), ("4", 4), ("10", 10)]
)
def test_a_checkpoint_is_chosen_by_name_or_step(run, checkpoint, step):
    result = evaluate_run(run, checkpoint=checkpoint)
    assert result["step"] == step
    assert result["loss"] == pytest.approx(_recorded_loss(run, step), rel=1e-6)


@pytest.mark.parametrize(("ema", "weights"), [(None, "ema"), (True, "ema"), (False, "raw")])
def test_the_average_or_the_weights_themselves(run, evaluated_weights, ema, weights):
    assert evaluate_run(run, ema=ema)["weights"] == weights
    network = build_network(read_config(run), 3)
    checkpoints = Checkpoints(run, keep=1, scores={}, read_only=True)
    saved = checkpoints.restore_weights(
        _LAST, network.abstract_weights(with_ema=True), replicated(network.mesh)
    )
    checkpoints.close()
    raw = (saved["params"], saved["batch_stats"])
    expected, other = (saved["ema"], raw) if weights == "ema" else (raw, saved["ema"])
    jax.tree.map(np.testing.assert_array_equal, evaluated_weights[0], expected)
    for mine, its in zip(evaluated_weights[0], other, strict=True):
        kernels = [
            np.asarray(tree["stem"]["conv"]["norm"][name])
            for tree in (mine, its)
            for name in ("scale", "mean")
            if name in tree["stem"]["conv"]["norm"]
        ]
        assert not np.array_equal(*kernels)


def test_a_split_can_be_named(run):
    result = evaluate_run(run, split="train[:50%]")
    assert (result["split"], result["num_images"]) == ("train[:50%]", stripes.TRAIN // 2)


def test_the_data_may_have_moved(run, tmp_path, monkeypatch):
    monkeypatch.setattr(stripes, "TEST", 18)
    stripes.write_stripes(tmp_path)
    assert evaluate_run(run, data_dir=str(tmp_path))["num_images"] == 18


def test_any_batch_size_gives_the_same_numbers(run):
    result, other = evaluate_run(run, batch_size=7), evaluate_run(run)
    assert result["num_images"] == stripes.TEST
    assert result["top1"] == other["top1"]
    assert result["loss"] == pytest.approx(other["loss"], rel=1e-5)
    with pytest.raises(ConfigError, match=r"config\.evaluation\.batch_size=0 must be"):
        evaluate_run(run, batch_size=0)


def test_a_loss_that_is_not_finite_is_null_in_the_file(run, monkeypatch):
    def diverged(*arguments, **keywords):
        return {**evaluate(*arguments, **keywords), "loss": math.nan}

    monkeypatch.setattr(module, "evaluate", diverged)
    assert math.isnan(evaluate_run(run)["loss"])
    assert json.loads((run / "evaluations.jsonl").read_text().splitlines()[-1])["loss"] is None


@pytest.mark.parametrize("checkpoint", ["newest", "-1", ""])
def test_an_unknown_checkpoint_is_answered_with_those_there_are(run, checkpoint):
    with pytest.raises(UserError, match=r"last, best or the number of a step; there are 4, 10\."):
        evaluate_run(run, checkpoint=checkpoint)


def test_a_step_without_a_checkpoint_is_answered_with_those_there_are(run):
    with pytest.raises(UserError, match=r"no checkpoint of step 7 in .*: it has 4, 10\."):
        evaluate_run(run, checkpoint="7")


@pytest.mark.parametrize(
    ("checkpoint", "message"),
    [
        ("last", "has no last checkpoint: train it first"),
        ("best", "has no best checkpoint that was evaluated: train it first"),
    ],
)
def test_a_run_without_checkpoints_is_one_sentence(run, tmp_path, checkpoint, message):
    directory = _copy(run, tmp_path)
    with pytest.raises(UserError, match=message):
        evaluate_run(directory, checkpoint=checkpoint)
    assert [path.name for path in directory.iterdir()] == ["config.json"]


def test_a_run_without_an_average_has_none_to_evaluate(run, tmp_path):
    directory = _copy(run, tmp_path, ema_decay=None)
    with pytest.raises(UserError, match="has no moving average: leave out --ema"):
        evaluate_run(directory, ema=True)


def test_a_network_that_does_not_fit_its_checkpoint_is_one_sentence(run, tmp_path):
    model = json.loads((run / "config.json").read_text())["model"]
    directory = _copy(run, tmp_path, model={**model, "width": 0.5})
    shutil.copytree(run / "checkpoints", directory / "checkpoints")
    with pytest.raises(UserError, match="is of another network: ") as raised:
        evaluate_run(directory)
    assert "\n" not in str(raised.value)
