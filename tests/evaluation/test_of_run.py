"""What eval.py does: which checkpoint, which weights and which images a number belongs to."""

import contextlib
import json
import math
import shutil

import jax
import numpy as np
import pytest

from mobilenet.data.datasets import open_split
from mobilenet.errors import ConfigError, UserError
from mobilenet.evaluation import of_run as module
from mobilenet.evaluation.evaluate import evaluate
from mobilenet.evaluation.of_run import evaluate_run
from mobilenet.networks.architecture import V1_ROWS
from mobilenet.runs.checkpoint import Checkpoints
from mobilenet.runs.metrics_file import read_metrics
from mobilenet.runs.run_directory import read_config
from mobilenet.runtime.mesh import make_mesh, replicated
from mobilenet.tasks.network import build_network
from mobilenet.training import loop
from tests.helpers import label_sets, small_config, stripes
from tests.helpers.states import assert_equal

# Every evaluation builds its network anew.
pytestmark = pytest.mark.usefixtures("cached_compilation")

_BEST, _LAST = 4, 10


@pytest.fixture(scope="module")
def run(data_dir, tmp_path_factory):
    """A run with the checkpoints of steps 4 and 10, of which the first has the better top-1."""
    mesh = make_mesh(jax.devices()[:1])
    scores = iter([0.9, 0.5, 0.6])

    def scored(*arguments, **keywords):
        return {**evaluate(*arguments, **keywords), "top1": next(scores)}

    with pytest.MonkeyPatch.context() as patch:
        # As the fixtures tiny_network and one_device, for all tests here.
        patch.setattr("mobilenet.networks.architecture.V1_ROWS", V1_ROWS[:2])
        patch.setattr("mobilenet.runtime.mesh.make_mesh", lambda: mesh)
        patch.setattr(loop, "evaluate", scored)
        config = small_config.get_config()
        config.data.data_dir = str(data_dir)
        config.checkpoint.keep = 1
        directory = tmp_path_factory.mktemp("evaluated") / "run"
        loop.train(config, directory)
        yield directory


def _recorded_loss(run, step):
    (record,) = (r for r in read_metrics(run) if r["split"] == "eval" and r["step"] == step)
    return record["loss"]


def _copy(run, tmp_path, *, checkpoints=False, **changes):
    """The run in another place, with top-level keys changed."""
    directory = tmp_path / "copy"
    directory.mkdir()
    config = json.loads((run / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, **changes}))
    shutil.copy(run / "data.json", directory)
    if checkpoints:
        shutil.copytree(run / "checkpoints", directory / "checkpoints")
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
def test_the_average_or_the_weights_themselves(run, monkeypatch, ema, weights):
    seen = []

    def watched(network, params, batch_stats, *arguments, **keywords):
        seen.append((params, batch_stats))
        return evaluate(network, params, batch_stats, *arguments, **keywords)

    monkeypatch.setattr(module, "evaluate", watched)
    result = evaluate_run(run, ema=ema)
    assert result["weights"] == weights
    # Training evaluates the average.
    is_recorded = result["loss"] == pytest.approx(_recorded_loss(run, _LAST), rel=1e-6)
    assert is_recorded == (weights == "ema")
    network = build_network(read_config(run), 3)
    with contextlib.closing(Checkpoints(run, keep=1, scores={}, read_only=True)) as checkpoints:
        target = network.abstract_weights(with_ema=True)
        saved = checkpoints.restore_weights(_LAST, target, replicated(network.mesh))
    raw = (saved["params"], saved["batch_stats"])
    expected, other = (saved["ema"], raw) if weights == "ema" else (raw, saved["ema"])
    assert_equal(seen[0], expected)
    for name, mine, its in zip(("scale", "mean"), seen[0], other, strict=True):
        kernels = [np.asarray(tree["stem"]["conv"]["norm"][name]) for tree in (mine, its)]
        assert not np.array_equal(*kernels)


def test_split_folder_and_batch_size_can_be_named(run, tmp_path, monkeypatch):
    result = evaluate_run(run, split="train[:50%]")
    assert (result["split"], result["num_images"]) == ("train[:50%]", stripes.TRAIN // 2)
    result, other = evaluate_run(run, batch_size=7), evaluate_run(run)
    assert result["num_images"] == stripes.TEST
    assert result["top1"] == other["top1"]
    assert result["loss"] == pytest.approx(other["loss"], rel=1e-5)
    with pytest.raises(ConfigError, match=r"config\.evaluation\.batch_size=0 must be"):
        evaluate_run(run, batch_size=0)
    monkeypatch.setattr(stripes, "TEST", 18)
    stripes.write_stripes(tmp_path)
    assert evaluate_run(run, data_dir=str(tmp_path))["num_images"] == 18


def test_a_loss_that_is_not_finite_is_null_in_the_file(run, monkeypatch):
    def diverged(*arguments, **keywords):
        return {**evaluate(*arguments, **keywords), "loss": math.nan}

    monkeypatch.setattr(module, "evaluate", diverged)
    assert math.isnan(evaluate_run(run)["loss"])
    assert json.loads((run / "evaluations.jsonl").read_text().splitlines()[-1])["loss"] is None


@pytest.mark.parametrize(
    ("checkpoint", "message"),
    [
        ("newest", r"last, best or the number of a step; there are 4, 10\."),
        ("-1", r"last, best or the number of a step; there are 4, 10\."),
        ("7", r"no checkpoint of step 7 in .*: it has 4, 10\."),
    ],
)
def test_an_unknown_checkpoint_is_answered_with_those_there_are(run, checkpoint, message):
    with pytest.raises(UserError, match=message):
        evaluate_run(run, checkpoint=checkpoint)


def test_a_run_without_checkpoints_or_average_is_one_sentence(run, tmp_path):
    directory = _copy(run, tmp_path, ema_decay=None)
    for flags, message in (
        ({"checkpoint": "last"}, "has no last checkpoint: train it first"),
        ({"checkpoint": "best"}, "has no best checkpoint that was evaluated: train it first"),
        ({"ema": True}, "has no moving average: leave out --ema"),
    ):
        with pytest.raises(UserError, match=message):
            evaluate_run(directory, **flags)
    assert sorted(path.name for path in directory.iterdir()) == ["config.json", "data.json"]


def test_a_network_that_does_not_fit_its_checkpoint_is_one_sentence(run, tmp_path):
    model = json.loads((run / "config.json").read_text())["model"]
    directory = _copy(run, tmp_path, checkpoints=True, model={**model, "width": 0.5})
    with pytest.raises(UserError, match=r"is of another network: .*\.$"):
        evaluate_run(directory)


def test_a_run_of_an_older_version_is_one_sentence_with_the_keys_it_lacks(run, tmp_path):
    model = json.loads((run / "config.json").read_text())["model"]
    del model["head"], model["output_stride"]
    directory = _copy(run, tmp_path, model=model)
    message = (
        f"^{directory}/config.json is of an older version of this code and lacks "
        "config.model.head, config.model.output_stride: take the version whose commit "
    )
    with pytest.raises(UserError, match=message):
        evaluate_run(directory)


def test_a_damaged_checkpoint_is_passed_over(run, tmp_path, caplog):
    directory = _copy(run, tmp_path, checkpoints=True)
    path = directory / "checkpoints" / str(_LAST) / "weights" / "_METADATA"
    path.write_bytes(path.read_bytes()[:-1])
    assert evaluate_run(directory)["step"] == _BEST
    assert f"The checkpoint of step {_LAST} in {directory}/checkpoints is damaged" in caplog.text


def test_minival_is_the_end_of_train(run):
    result = evaluate_run(run, split="minival")
    # 1 % of 72 images is one.
    assert (result["split"], result["num_images"]) == ("minival", 1)
    assert result["loss"] == pytest.approx(evaluate_run(run, split="train[71:]")["loss"], rel=1e-6)


def test_every_class_is_counted_if_asked(run):
    result = evaluate_run(run, per_class=True)
    classes = result["per_class"]["classes"]
    assert [(row["name"], row["images"]) for row in classes] == [
        ("horizontal", 8),
        ("vertical", 8),
        ("plain", 8),
    ]
    right = sum(row["right"] for row in classes)
    assert right == round(result["top1"] * stripes.TEST)
    wrong = sum(row["count"] for row in result["per_class"]["confusions"])
    assert wrong == stripes.TEST - right
    written = json.loads((run / "per_class_test.json").read_text())
    assert written["classes"] == classes
    assert (written["step"], written["split"], written["top1"]) == (_LAST, "test", result["top1"])
    # The one line of every evaluation stays one line.
    last = json.loads((run / "evaluations.jsonl").read_text().splitlines()[-1])
    assert last == {key: value for key, value in result.items() if key != "per_class"}


@pytest.fixture
def other(run, tmp_path, monkeypatch):
    """Evaluates the run on the dataset `other` with 18 test images and classes of these names."""

    def other(*names, **keywords):
        class Renamed(stripes.DatasetWriter):
            def __init__(self, directory, name, _):
                super().__init__(directory, name, names)

        monkeypatch.setattr(stripes, "DatasetWriter", Renamed)
        monkeypatch.setattr(stripes, "NAME", "other")
        monkeypatch.setattr(stripes, "TEST", 18)
        stripes.write_stripes(tmp_path)
        return evaluate_run(run, data="other", data_dir=str(tmp_path), **keywords)

    return other


def test_other_data_of_the_same_classes(run, other):
    result = other("horizontal", "vertical", "plain", per_class=True)
    # It has two splits, so that the run's own name is taken.
    assert (result["data"], result["split"], result["num_images"]) == ("other", "test", 18)
    assert (run / "per_class_other_test.json").exists()
    assert "\n\nother: top-1 " in module.format_evaluation(result)
    assert read_config(run).data.name == "stripes"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["horizontal", "plain", "vertical"],
            r"trained on stripes, whose classes are not those of other \(class 1 is vertical there "
            r"and plain here\)",
        ),
        (
            ["horizontal", "vertical", "plain", "dotted"],
            r"not those of other \(3 there, 4 here\)",
        ),
    ],
)
def test_other_data_must_have_the_same_classes_in_the_same_order(other, names, message):
    with pytest.raises(UserError, match=message):
        other(*names)


def test_classes_without_names_are_not_compared(other, caplog):
    assert other("0", "1", "2")["num_images"] == 18
    assert "The classes of other cannot be compared by name with those of stripes" in caplog.text


def test_sets_of_labels_are_counted_as_sets(run, tmp_path):
    source = open_split(read_config(run).data, "test").source
    records = [source[i] for i in range(stripes.TEST)]
    # The label itself, any class, and none.
    sets = [(record.label,) for record in records[:16]] + [(0, 1, 2)] * 4 + [()] * 4
    label_sets.write_label_sets(tmp_path, [(r.image, r.label) for r in records], sets)
    result = evaluate_run(run, data=label_sets.NAME, data_dir=str(tmp_path))
    plain = evaluate_run(run, split="test[:16]")
    # The only split it has.
    assert result["split"] == "validation"
    assert (result["num_images"], result["unlabelled_images"]) == (20, 4)
    assert result["top1"] == pytest.approx((16 * plain["top1"] + 4) / 20)
    assert "20 images (4 without a label left out) of validation" in module.format_evaluation(
        result
    )
    with pytest.raises(UserError, match="labels of stripes_real are sets"):
        evaluate_run(run, data=label_sets.NAME, data_dir=str(tmp_path), per_class=True)
