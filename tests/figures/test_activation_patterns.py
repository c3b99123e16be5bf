"""Positive channels before and after training: counts by hand, and a run's own weights."""

import dataclasses
import json
import shutil

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import quickstart
from mobilenet.data.datasets import open_split
from mobilenet.data.writer import DatasetWriter, Example, new_dataset_directory
from mobilenet.errors import UserError
from mobilenet.factory import create_model
from mobilenet.figures import activation_patterns
from mobilenet.figures.activation_patterns import LayerCounts, count_positive, draw, patterns
from mobilenet.networks.architecture import V2_ROWS
from mobilenet.networks.functional import split_model
from mobilenet.runs.checkpoint import Checkpoints
from mobilenet.runs.run_directory import start_run
from mobilenet.training.experiment import build_experiment
from mobilenet.training.initial_weights import load_initial_weights, settle_config


@pytest.fixture(scope="module", autouse=True)
def _small_v2():
    """Cuts V2 down to the stem, the first block and the two with expansions that follow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mobilenet.networks.architecture.V2_ROWS", V2_ROWS[:3])
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The directory of a run on noise whose weights moved in two steps, without training them."""
    folder = tmp_path_factory.mktemp("activations")
    with new_dataset_directory("noise", folder) as directory:
        writer = DatasetWriter(directory, "noise", ["a", "b"])
        files = [cv2.imencode(".png", image)[1].tobytes() for image in _noise()]
        examples = [Example(data, index % 2, "") for index, data in enumerate(files)]
        for split in ("train", "test"):
            writer.write_split(split, examples, num_examples=len(examples), num_bytes=0)
        writer.write_metadata(description="For tests.")
    config = quickstart.get_config()
    config.model.width, config.model.resolution = 0.25, 8
    config.data.name, config.data.data_dir = "noise", str(folder)
    config.batch_size = 8
    config.evaluation.batch_size = 8
    experiment = build_experiment(config, open_split(config.data, "train"))
    state = experiment.make_state(*load_initial_weights(settle_config(config), experiment.network))
    rng = np.random.default_rng(1)
    moved = dataclasses.replace(
        state,
        step=state.step + 2,
        params=jax.tree.map(
            lambda x: x + rng.normal(0, 0.5, x.shape).astype(np.float32), state.params
        ),
    )
    with start_run(folder / "run", config, ("a", "b")) as directory:
        checkpoints = Checkpoints(directory, keep=1, scores={})
        checkpoints.save(1, state)
        checkpoints.save(2, moved)
        checkpoints.close()
    return folder / "run"


@pytest.fixture(scope="module")
def counted(run):
    """What `patterns` returns for the run, and what it counted: (params, images) twice."""
    seen = []

    def watched(module, params, stats, images, **keywords):
        seen.append((params, images))
        return count_positive(module, params, stats, images, **keywords)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(activation_patterns, "count_positive", watched)
        return patterns(run, 35), seen


def _noise():
    return np.random.default_rng(0).integers(0, 256, (70, 8, 8, 3)).astype(np.uint8)


def test_a_histogram_by_hand():
    # 1 position with one positive channel of 4, 2 with two, 5 with three.
    layer = LayerCounts("block_2/expand", inputs=2, channels=4, histogram=(0, 1, 2, 5, 0))
    assert layer.threshold == 0.5
    assert layer.mean == pytest.approx((1 + 4 + 15) / 8 / 4)
    assert (layer.share(0), layer.share(1)) == (0.25, 0.75)
    assert [layer.share(q) for q in (0.05, 0.3, 0.375, 0.4)] == [0.25, 0.5, 0.5, 0.75]
    # Two positive channels are enough for two inputs.
    assert layer.below == 1 / 8


def test_every_position_of_every_image_is_counted_once():
    model = create_model("mobilenet_v2_025", 2, resolution=8, stem_stride=1)
    _, params, stats = split_model(model)
    images = np.random.default_rng(0).normal(size=(64, 8, 8, 3)).astype(np.float32)
    counts = count_positive(model, params, stats, images, batch_statistics=False)
    assert [layer.name for layer in counts] == ["block_2/expand", "block_3/expand"]
    model.eval()
    outputs = model.endpoints(jnp.asarray(images), [layer.name for layer in counts])
    for layer, side in zip(counts, (8, 4), strict=True):
        assert (layer.inputs, layer.channels) == (8, 48)
        assert sum(layer.histogram) == 64 * side * side
        positive = np.count_nonzero(np.asarray(outputs[layer.name]) > 0, axis=-1)
        assert layer.mean == pytest.approx(positive.mean() / 48)
        # Summed in another order, a value at zero may change its sign.
        assert layer.share(0) == pytest.approx(positive.min() / 48, abs=1 / 48)
        assert layer.share(1) == pytest.approx(positive.max() / 48, abs=1 / 48)


@pytest.mark.parametrize("batch_statistics", [False, True])
def test_channels_that_only_the_offset_decides(batch_statistics):
    model = create_model("mobilenet_v2_025", 2, resolution=8, stem_stride=1)
    _, params, stats = split_model(model)
    norm = params["block_2"]["expand"]["norm"]
    norm["scale"] = np.zeros(48, np.float32)
    norm["bias"] = np.where(np.arange(48) < 10, 1, -1).astype(np.float32)
    images = np.random.default_rng(0).normal(size=(8, 8, 8, 3)).astype(np.float32)
    layer = count_positive(model, params, stats, images, batch_statistics=batch_statistics)[0]
    assert layer.histogram == tuple(8 * 8 * 8 if count == 10 else 0 for count in range(49))


def test_a_run_is_counted_at_its_start_and_at_its_end(counted):
    (before, after, description), _ = counted
    # Of 35 images one whole batch remains.
    assert description == (
        "MobileNetV2 0.25 at 8 pixels, 2 steps on noise, 32 images of its split test"
    )
    for layers in (before, after):
        assert [sum(layer.histogram) for layer in layers] == [32 * 8 * 8, 32 * 4 * 4]
    # Normalisation by the batch centres every channel.
    assert before[0].mean == pytest.approx(0.5, abs=0.1)
    assert before != after


def test_the_weights_are_the_initial_and_the_last_ones(counted, run):
    _, seen = counted
    first, last = (params["stem"]["conv"]["kernel"] for params, _ in seen)
    config = json.loads((run / "config.json").read_text())
    model = create_model("mobilenet_v2_025", 2, seed=config["seed"], resolution=8, stem_stride=1)
    initial = np.asarray(model.stem.conv.kernel[...])
    np.testing.assert_array_equal(first, initial)
    assert np.std(last - initial) == pytest.approx(0.5, rel=0.2)


def test_the_images_are_spread_over_the_split(counted):
    _, seen = counted
    # Every second of 70; cv2 writes blue first.
    expected = _noise()[: 2 * 32 : 2, ..., ::-1].astype(np.float32) / 127.5 - 1
    for _, images in seen:
        np.testing.assert_allclose(images, expected, atol=1e-6)


def test_the_picture_has_both_states_and_the_threshold(counted, monkeypatch):
    monkeypatch.setattr(activation_patterns, "patterns", lambda *_: counted[0])
    figure = draw("run")
    before, after, legend = figure.axes
    assert (before.get_title(), after.get_title()) == ("Initial weights", "After training")
    assert [text.get_text() for text in legend.get_legend().get_texts()] == [
        "min to max",
        "5 to 95 %",
        "mean",
        "threshold of invertibility",
    ]
    threshold = before.lines[1]
    assert list(threshold.get_xdata()) == [2, 3]
    assert list(threshold.get_ydata()) == pytest.approx([100 / 6] * 2)


def test_a_run_without_expansions_is_one_sentence(run, monkeypatch):
    opened = activation_patterns.open_weights(run)
    network = dataclasses.replace(opened.network, module=create_model("mobilenet_v1_025"))
    opened = dataclasses.replace(opened, network=network)
    monkeypatch.setattr(activation_patterns, "open_weights", lambda _: opened)
    with pytest.raises(UserError, match="has no expansions") as raised:
        patterns(run, 8)
    assert "\n" not in str(raised.value)


def test_the_data_may_have_moved(run, tmp_path, monkeypatch):
    shutil.copytree(run.parent / "noise", tmp_path / "noise")
    monkeypatch.setattr(activation_patterns, "count_positive", lambda *_, **__: [])
    assert patterns(run, 8, data_dir=str(tmp_path))[2].endswith("8 images of its split test")
    with pytest.raises(UserError, match="The dataset noise"):
        patterns(run, 8, data_dir=str(tmp_path / "nowhere"))
