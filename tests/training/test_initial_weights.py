"""Runs that begin with published weights or with those of another run."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from configs import finetune
from mobilenet.data.datasets import open_split
from mobilenet.errors import ConfigError, UserError
from mobilenet.networks.initialization import initialize
from mobilenet.networks.models import MobileNet
from mobilenet.runs.run_directory import read_config
from mobilenet.runs.weights import open_weights
from mobilenet.training import loop
from mobilenet.training.experiment import build_experiment
from mobilenet.training.initial_weights import load_initial_weights, settle_config
from tests.helpers import small_config
from tests.helpers.states import assert_equal

_TINY = pytest.mark.usefixtures("tiny_network", "one_device", "cached_compilation")
_CLASSES = 3


def _slim_file(path, classes):
    """Random weights of the tiny V1 of width 0.25 under slim's names (nets/mobilenet_v1.py)."""
    rng = np.random.default_rng(0)
    tensors = {}

    def add(layer, kernel, shape):
        tensors[f"MobilenetV1/{layer}/{kernel}"] = rng.normal(size=shape).astype(np.float32)
        channels = shape[2] if kernel == "depthwise_weights" else shape[3]
        for leaf in ("gamma", "beta", "moving_mean", "moving_variance"):
            value = rng.uniform(0.5, 1.5, channels).astype(np.float32)
            tensors[f"MobilenetV1/{layer}/BatchNorm/{leaf}"] = value

    add("Conv2d_0", "weights", (3, 3, 3, 8))
    add("Conv2d_1_depthwise", "depthwise_weights", (3, 3, 8, 1))
    add("Conv2d_1_pointwise", "weights", (1, 1, 8, 16))
    logits = "MobilenetV1/Logits/Conv2d_1c_1x1"
    tensors[f"{logits}/weights"] = rng.normal(size=(1, 1, 16, classes)).astype(np.float32)
    tensors[f"{logits}/biases"] = rng.normal(size=classes).astype(np.float32)
    np.savez(path, **tensors)
    return tensors


def _initial_state(config):
    config = settle_config(config)
    experiment = build_experiment(config, open_split(config.data, "train"))
    return experiment.make_state(*load_initial_weights(config, experiment.network))


def test_what_goes_with_the_weights_is_written_into_the_config(caplog):
    config = finetune.get_config()
    settled = settle_config(config)
    assert (settled.model.padding, settled.model.norm_epsilon) == ("symmetric", 1e-5)
    # torchvision's transforms give them as shares of 255.
    np.testing.assert_allclose(settled.augment.mean, 255 * np.array([0.485, 0.456, 0.406]))
    np.testing.assert_allclose(settled.augment.stddev, 255 * np.array([0.229, 0.224, 0.225]))
    assert settled.is_locked
    assert not caplog.records
    assert config.augment.mean is None  # what is given is not changed
    # Without weights, the pixels are slim's.
    config.initial_weights = None
    settled = settle_config(config)
    assert settled.augment.mean == settled.augment.stddev == (127.5, 127.5, 127.5)
    assert settled.model.padding is None


def test_what_the_user_gives_stays_and_a_foreign_mean_is_said(caplog):
    config = finetune.get_config()
    config.model.padding = "same"
    config.model.norm_momentum = 0.5
    config.augment.mean = (127.5, 127.5, 127.5)
    settled = settle_config(config)
    assert (settled.model.padding, settled.model.norm_momentum) == ("same", 0.5)
    assert settled.augment.mean == (127.5, 127.5, 127.5)
    assert [record.getMessage() for record in caplog.records] == [
        "config.augment.mean is (127.5, 127.5, 127.5), and that of the initial weights "
        "(123.675, 116.28, 103.53): None takes theirs."
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("torch", "config.initial_weights: .*'torch' do not exist"),
        ("torchvision/v9", "config.initial_weights: .*called v9"),
        ("run:nowhere", "config.initial_weights: .*nowhere"),
        (True, "config.initial_weights must be words .* not True"),
    ],
)
def test_weights_that_do_not_exist(words, message):
    config = finetune.get_config()
    config.initial_weights = words
    with pytest.raises(ConfigError, match=message):
        settle_config(config)


@_TINY
@pytest.mark.parametrize("classes", [1001, _CLASSES])
def test_published_weights_fill_all_and_the_classifier_of_as_many_classes(
    config, tmp_path, classes
):
    tensors = _slim_file(tmp_path / "weights.npz", classes)
    config.initial_weights = f"slim:{tmp_path / 'weights.npz'}"
    state = _initial_state(config)
    layer = "MobilenetV1/Conv2d_1_depthwise"
    np.testing.assert_array_equal(
        state.params["block_1"]["depthwise"]["kernel"],
        tensors[f"{layer}/depthwise_weights"].transpose(0, 1, 3, 2),
    )
    np.testing.assert_array_equal(
        state.batch_stats["block_1"]["depthwise"]["norm"]["var"],
        tensors[f"{layer}/BatchNorm/moving_variance"],
    )
    ((kernel,),) = tensors["MobilenetV1/Logits/Conv2d_1c_1x1/weights"]
    expected = kernel if classes == _CLASSES else np.zeros((16, _CLASSES))
    np.testing.assert_array_equal(state.params["logits"]["kernel"], expected)
    # The average starts at the same weights.
    assert_equal(state.ema[0], state.params)


@_TINY
def test_a_resumed_run_needs_no_file_and_a_new_one_does(config, tmp_path):
    weights, run = tmp_path / "weights.npz", tmp_path / "run"
    config.initial_weights = f"slim:{weights}"
    config.total_steps = 2
    with pytest.raises(UserError, match=r"weights\.npz"):
        loop.train(config, run)
    assert not run.exists()
    _slim_file(weights, 1001)
    result = loop.train(config, run)
    assert read_config(run).initial_weights == config.initial_weights
    weights.unlink()
    assert loop.train(config, run) == result


@pytest.fixture
def first_run(config, tmp_path):
    """A run of two steps, of a network with more epsilon."""
    config.update_from_flattened_dict({"total_steps": 2, "model.norm_epsilon": 0.01})
    config.augment.mean = (1.0, 2.0, 3.0)
    loop.train(config, tmp_path / "first")
    return tmp_path / "first"


def _second(data_dir, first_run):
    config = small_config.get_config()
    config.data.data_dir = str(data_dir)
    config.initial_weights = f"run:{first_run}"
    config.augment.mean = None
    return config


@_TINY
def test_a_run_goes_on_from_another_ones_average(data_dir, first_run):
    config = _second(data_dir, first_run)
    settled = settle_config(config)
    assert settled.model.norm_epsilon == 0.01
    assert settled.augment.mean == (1.0, 2.0, 3.0)
    state = _initial_state(config)
    assert int(state.step) == 0
    last = open_weights(first_run, ema=True)
    assert_equal((state.params, state.batch_stats), (last.params, last.batch_stats))


@_TINY
def test_a_run_of_other_classes_gets_a_new_classifier(data_dir, first_run):
    config = settle_config(_second(data_dir, first_run))
    split = open_split(config.data, "train")
    split = dataclasses.replace(split, num_classes=2)
    experiment = build_experiment(config, split)
    params, _ = load_initial_weights(config, experiment.network)
    fresh = initialize(MobileNet(experiment.network.architecture), config.seed)
    assert params["logits"]["kernel"].shape == (16, 2)
    assert not params["logits"]["kernel"].any()
    assert not np.array_equal(params["stem"]["conv"]["kernel"], fresh.stem.conv.kernel[...])


@_TINY
def test_a_run_of_another_network_is_refused(data_dir, first_run):
    config = _second(data_dir, first_run)
    config.model.width = 0.5
    with pytest.raises(ConfigError, match=r"config\.model\.width is 0\.25 there and 0\.5 here"):
        _ = _initial_state(config)


def test_the_network_of_a_run_scales_pixels_as_its_weights_want_them(test_data, data_dir):
    name = "mobilenet_v2_1.0_224_torchvision"
    config = finetune.get_config("smoke")
    config.data.update(name="stripes", data_dir=str(data_dir), eval_split="test")
    config.initial_weights = f"torchvision:{test_data / 'weights' / name / f'{name}.npz'}"
    config.model.width, config.model.resolution = 1.0, 32
    config = settle_config(config)
    network = build_experiment(config, open_split(config.data, "train")).network
    module = nnx.clone(network.module)
    for tree in load_initial_weights(config, network):
        nnx.update(module, tree)
    module.logits.kernel.set_value(jnp.ones_like(module.logits.kernel[...]))
    module.eval()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    # torchvision's docs of the weights: mean [0.485, 0.456, 0.406], std [0.229, 0.224, 0.225].
    scaled = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    features = nnx.jit(lambda module, images: module(images))
    expected = features(module, jnp.asarray(scaled, jnp.float32))
    np.testing.assert_allclose(features(module, jnp.asarray(pixels)), expected, rtol=1e-4)
    assert np.abs(np.asarray(expected)).min() > 0
