"""Weights written for other libraries: what the files hold, and what is refused."""

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from flax import nnx

from mobilenet import config as base
from mobilenet.errors import UserError
from mobilenet.networks.architecture import create_architecture
from mobilenet.networks.functional import split_model
from mobilenet.runs.checkpoint import Checkpoints
from mobilenet.runs.run_directory import start_run
from mobilenet.runs.state import TrainState
from mobilenet.runs.weights import load_run_or_weights
from mobilenet.weights.convert import convert
from mobilenet.weights.files import read_tensors
from mobilenet.weights.layout import TENSORFLOW_DENSE_CONV, TENSORFLOW_DEPTHWISE, TORCH_CONV
from mobilenet.weights.pretrained import load_pretrained
from mobilenet.weights.targets import TARGETS, find_target
from tests.helpers.random_weights import draw_network

_TORCH = {"padding": "symmetric", "norm_epsilon": 1e-5}


@pytest.mark.parametrize(
    ("layout", "shape"),
    [
        (TORCH_CONV, (2, 3, 4, 5)),
        (TENSORFLOW_DEPTHWISE, (2, 3, 1, 5)),
        (TENSORFLOW_DENSE_CONV, (4, 5)),
    ],
)
def test_a_layout_goes_both_ways(layout, shape):
    ours = np.arange(np.prod(shape)).reshape(shape)
    foreign = layout.restore(ours)
    assert foreign.shape == layout.foreign_shape(shape)
    np.testing.assert_array_equal(layout.convert(foreign), ours)


def _leaves(model):
    return {path: np.asarray(leaf[...]) for path, leaf in nnx.to_flat_state(nnx.state(model))}


@pytest.mark.parametrize(
    ("to", "name", "knobs"),
    [
        ("torchvision", "mobilenet_v2_035", _TORCH),
        ("timm", "mobilenet_v2_035", _TORCH),
        ("keras", "mobilenet_v1_025", {}),
        ("keras", "mobilenet_v2_035", {}),
    ],
)
def test_our_own_reader_finds_every_bit_again(tmp_path, to, name, knobs):
    pretrained = draw_network(name, 10, **knobs)
    path = tmp_path / f"x{TARGETS[to].ending}"
    convert(pretrained, to, path)
    again = load_pretrained(name, f"{to}:{path}", 10, **knobs)
    assert again.has_own_classifier
    jax.tree.map(np.testing.assert_array_equal, _leaves(again.model), _leaves(pretrained.model))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o444 == 0o444  # as the umask of tests allows


def test_a_network_without_classifier_stays_without(tmp_path):
    pretrained = draw_network("mobilenet_v1_025", 0)
    code = convert(pretrained, "keras", tmp_path / "x.h5")
    assert "include_top=False" in code
    assert not any("preds" in name for name in read_tensors(tmp_path / "x.h5"))


def test_a_file_of_torchvision_is_its_state_dict(tmp_path):
    path = tmp_path / "x.safetensors"
    code = convert(draw_network("mobilenet_v2_035", 10, **_TORCH), "torchvision", path)
    assert "mobilenet_v2(num_classes=10, width_mult=0.35)" in code
    assert f"model.load_state_dict(safetensors.torch.load_file({str(path)!r}))" in code
    tensors = safetensors.numpy.load_file(path)
    # torchvision/models/mobilenetv2.py: 52 convolutions, each with 5 tensors of its BatchNorm2d.
    assert len(tensors) == 52 * 6 + 2
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    assert tensors.keys() >= {
        "features.0.0.weight", *(f"features.0.1.{leaf}" for leaf in norm),
        "features.1.conv.0.0.weight", "classifier.1.weight", "classifier.1.bias",
    }  # fmt: skip
    count = tensors["features.0.1.num_batches_tracked"]
    assert (count.shape, count.dtype, count) == ((), np.int64, 0)


def test_a_file_of_keras_has_its_layers_in_their_order(tmp_path):
    pretrained = draw_network("mobilenet_v1_025", 10)
    convert(pretrained, "keras", tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5") as file:
        layers = [name.decode() for name in file.attrs["layer_names"]]
        assert layers[:4] == ["conv1", "conv1_bn", "conv_dw_1", "conv_dw_1_bn"]
        assert layers[-3:] == ["conv_pw_13", "conv_pw_13_bn", "conv_preds"]
        assert len(layers) == 2 * 27 + 1
        assert [name.decode() for name in file["conv1_bn"].attrs["weight_names"]] == [
            f"conv1_bn/{leaf}" for leaf in ("gamma", "beta", "moving_mean", "moving_variance")
        ]
        assert file["conv_preds"]["conv_preds/kernel"].shape == (1, 1, 256, 10)
        assert file.attrs["keras_version"].decode() >= "2"


def test_timm_is_told_what_its_networks_do_not_have_by_themselves(tmp_path):
    code = convert(draw_network("mobilenet_v1_125", 10), "timm", tmp_path / "x.safetensors")
    assert "'mobilenetv1_125', num_classes=10, pad_type='same', bn_eps=0.001, checkpoint" in code
    tensors = safetensors.numpy.load_file(tmp_path / "x.safetensors")
    assert tensors["blocks.0.0.bn1.num_batches_tracked"].dtype == np.int64


def test_timm_has_more_sizes_than_ours():
    architecture = create_architecture("mobilenet_v1_100", num_classes=10, head=1024, **_TORCH)
    (code,) = find_target("timm", architecture).code(architecture, "x.safetensors")
    assert code == (
        "model = timm.create_model('mobilenetv1_100h', num_classes=10, "
        "checkpoint_path='x.safetensors')"
    )


@pytest.mark.parametrize(
    ("to", "name", "knobs", "message"),
    [
        (
            "torchvision", "mobilenet_v2_035", {},
            "mobilenet_v2 of torchvision has padding=symmetric, norm_epsilon=1e-05 and these "
            "weights need padding=same, norm_epsilon=0.001, without which they would give other "
            "logits; --to=timm and --to=keras can.",
        ),
        ("keras", "mobilenet_v2_035", _TORCH, "has padding=same, .* --to=torchvision and --to=t"),
        ("torchvision", "mobilenet_v1_025", {}, "has no mobilenet_v1; --to=keras can."),
        ("timm", "mobilenet_v1_025", {}, "timm has no network of this size, only mobilenetv1_100,"),
        ("keras", "mobilenet_v1_025", {"depth": "shallow"}, "depth=shallow.* no library that we"),
        ("keras", "mobilenet_v2_035", {"stem_stride": 1}, "has stem_stride=2 .* need stem_stride="),
        ("keras", "mobilenet_v1_020", {}, "width 0.2 has a stem of 6 channels"),
        # slim halves 100 pixels to 50, 25, 13, 7 and 4.
        (
            "keras", "mobilenet_v1_025", {"resolution": 100},
            "at 100 pixels that of block_4/depthwise is 25",
        ),
        ("onnx", "mobilenet_v1_025", {}, "--to=onnx must be one of torchvision, timm, keras."),
    ],
)  # fmt: skip
def test_what_would_give_other_logits_is_refused(to, name, knobs, message):
    architecture = create_architecture(name, num_classes=10, **knobs)
    with pytest.raises(UserError, match=message):
        find_target(to, architecture)


def test_what_is_refused_is_not_written(tmp_path):
    with pytest.raises(UserError, match="torchvision has no mobilenet_v1"):
        convert(draw_network("mobilenet_v1_025", 10), "torchvision", tmp_path / "x.pth")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("to", "out", "message"),
    [
        ("torchvision", "x.pth", "x.pth must end in .safetensors, the format that is written for"),
        ("keras", "x.pt", "must end in .h5, the .* written for keras, and not in .weights.h5."),
        ("keras", "x.weights.h5", "must end in .h5"),
        ("keras", "nowhere/x.h5", "Cannot write .*nowhere/x.h5: "),
    ],
)
def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path, to, out, message):
    knobs = _TORCH if to == "torchvision" else {}
    with pytest.raises(UserError, match=message):
        convert(draw_network("mobilenet_v2_035", 10, **knobs), to, tmp_path / out)
    assert not list(tmp_path.iterdir())


def test_a_new_classifier_is_not_written(tmp_path):
    convert(draw_network("mobilenet_v1_025", 0), "keras", tmp_path / "x.h5")
    headless = load_pretrained("mobilenet_v1_025", f"keras:{tmp_path / 'x.h5'}")
    with pytest.raises(UserError, match="no classifier of 1000 classes: --num_classes=0 leaves"):
        convert(headless, "keras", tmp_path / "y.h5")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run directory with one checkpoint, whose moving average is another network."""
    config = base.get_config().unlock()
    config.model.name, config.model.width, config.model.resolution = "mobilenet_v1", 0.25, 64
    config.augment.mean, config.augment.stddev = (1.0, 2.0, 3.0), (4.0, 5.0, 6.0)
    config.ema_decay = 0.9
    raw, averaged = (draw_network("mobilenet_v1_025", 10, seed) for seed in (0, 1))
    with start_run(tmp_path_factory.mktemp("runs") / "a", config.lock(), "0123456789") as directory:
        (_, *weights), (_, *ema) = (split_model(drawn.model) for drawn in (raw, averaged))
        state = TrainState(jnp.int32(3), *weights, opt_state={"x": jnp.zeros(1)}, ema=tuple(ema))
        checkpoints = Checkpoints(directory, keep=1, scores={})
        checkpoints.save(3, state)
        checkpoints.close()
    return directory, raw.model, averaged.model


def test_a_run_is_converted_with_its_own_weights_and_images(run, tmp_path):
    directory, raw, averaged = run
    for ema, expected in ((False, raw), (None, averaged)):
        loaded = load_run_or_weights(str(directory), ema=ema)
        jax.tree.map(np.testing.assert_array_equal, _leaves(loaded.model), _leaves(expected))
    assert loaded.model.preprocessing.mean == (1.0, 2.0, 3.0)
    code = convert(loaded, "keras", tmp_path / "x.h5")
    assert "MobileNet(input_shape=(64, 64, 3), alpha=0.25, " in code
    assert "classes=10" in code
    assert "(pixels - [1, 2, 3])" in code
    with pytest.raises(UserError, match="has no best checkpoint that was evaluated"):
        load_run_or_weights(str(directory), checkpoint="best")


def test_the_command_prints_the_python_that_loads_the_file(run, tmp_path, run_script):
    out = tmp_path / "x.h5"
    flags = (f"--from={run[0]}", "--ema=false", "--to=keras", f"--out={out}")
    result = run_script("scripts/convert_weights.py", *flags)
    assert result.returncode == 0, result.stderr
    assert f"weights={str(out)!r}" in result.stdout
    again = load_pretrained("mobilenet_v1_025", f"keras:{out}", 10).model
    jax.tree.map(np.testing.assert_array_equal, _leaves(again), _leaves(run[1]))


@pytest.mark.parametrize(
    ("is_run", "flags", "message"),
    [
        (True, {"model": "mobilenet_v1"}, "--model has no meaning with a run directory: leave"),
        (False, {"ema": False, "model": "mobilenet_v1"}, "--ema has no meaning with weights"),
        (False, {}, "--model is missing: name the network of the weights timm."),
    ],
)
def test_flags_without_meaning_are_refused(run, is_run, flags, message):
    with pytest.raises(UserError, match=message):
        load_run_or_weights(str(run[0]) if is_run else "timm", **flags)


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(UserError, match=f"{tmp_path} has no config.json"):
        load_run_or_weights(str(tmp_path))
