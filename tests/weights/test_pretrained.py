"""Networks with weights of files: what fits, what does not, and what comes with them."""

import logging

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from mobilenet.errors import UserError
from mobilenet.factory import create_model
from mobilenet.networks.architecture import create_architecture
from mobilenet.networks.preprocessing import IMAGENET_MEAN, IMAGENET_STDDEV
from mobilenet.weights.layout import backbone_tensors, classifier_tensors
from mobilenet.weights.pretrained import find_release, load_pretrained
from mobilenet.weights.registry import SOURCES
from tests.helpers.logits import evaluate

_TORCHVISION = "mobilenet_v2_1.0_224_torchvision"
_SLIM = "mobilenet_v1_1.0_224_slim"


def _tensors(source, name, classes, **knobs):
    """Random tensors of a network under a source's names."""
    convention = SOURCES[source].convention
    architecture = create_architecture(name, num_classes=classes or 1, **knobs)
    shapes = {
        path: leaf.shape
        for path, leaf in nnx.to_flat_state(nnx.state(create_model(name, classes or 1, **knobs)))
    }
    rng = np.random.default_rng(0)
    wanted = [*backbone_tensors(convention, architecture)]
    if classes:
        wanted += classifier_tensors(convention, architecture)
    return {
        t.name: rng.standard_normal(t.layout.foreign_shape(shapes[t.path])).astype(np.float32)
        for t in wanted
    }


@pytest.fixture(scope="module")
def torchvision_tensors():
    return _tensors("torchvision", "mobilenet_v2_035", 1000)


@pytest.fixture
def file(tmp_path):
    def write(tensors, name="weights.npz"):
        np.savez(tmp_path / name, **tensors)
        return tmp_path / name

    return write


def test_everything_that_goes_with_the_weights_comes_along(file, torchvision_tensors):
    weights = f"torchvision:{file(torchvision_tensors)}"
    model = create_model("mobilenet_v2_035", weights=weights)
    architecture = model.architecture
    assert (architecture.padding, architecture.norm_epsilon) == ("symmetric", 1e-5)
    assert (architecture.num_classes, architecture.resolution) == (1000, 224)
    assert model.preprocessing.mean == IMAGENET_MEAN
    assert model.preprocessing.stddev == IMAGENET_STDDEV
    kernel = torchvision_tensors["features.2.conv.1.0.weight"]
    np.testing.assert_array_equal(model.block_2.depthwise.kernel[...], kernel.transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(
        model.logits.kernel[...], torchvision_tensors["classifier.1.weight"].T
    )


def test_what_is_asked_for_goes_before_what_comes_along(file, torchvision_tensors):
    weights = f"torchvision:{file(torchvision_tensors)}"
    model = create_model("mobilenet_v2_035", weights=weights, padding="same", resolution=96)
    assert (model.architecture.padding, model.architecture.resolution) == ("same", 96)
    assert model.preprocessing.resolution == 96


def test_uint8_images_are_scaled_as_the_weights_want_them(file, torchvision_tensors):
    weights = f"torchvision:{file(torchvision_tensors)}"
    model = create_model("mobilenet_v2_035", weights=weights, resolution=32)
    model.eval()
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    scaled = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    first, second = (
        model.endpoints(jnp.asarray(x), ("stem",))["stem"]
        for x in (pixels, scaled.astype(np.float32))
    )
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "mobilenet_v2_050", None,
            # Stem and first block of both widths are as wide.
            r"width 0.5 with 1000 classes: features.2.conv.2.weight is \[8, 48, 1, 1\] in the file "
            r"and \[16, 48, 1, 1\] in the network",
        ),
        (
            "mobilenet_v2_035", {"features.0.0.weight": None},
            r"features.0.0.weight \[16, 3, 3, 3\] is missing",
        ),
        (
            "mobilenet_v2_035", {"features.3.conv.2.weight": np.ones(3, np.float32)},
            r"features.3.conv.2.weight is \[3\] in the file and \[8, 48, 1, 1\] in the network",
        ),
        (
            "mobilenet_v2_035", {"extra": np.ones((2, 3), np.float32)},
            r"extra \[2, 3\] is in the file only",
        ),
        (
            "mobilenet_v2_035", {"features.0.1.bias": np.ones(16, np.int32)},
            "features.0.1.bias is of type int32",
        ),
        ("mobilenet_v2_035", {"classifier.1.bias": None}, r"classifier.1.bias \[1000\] is missing"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(file, torchvision_tensors, name, change, message):
    tensors = {**torchvision_tensors, **(change or {})}
    path = file({key: value for key, value in tensors.items() if value is not None})
    with pytest.raises(UserError, match=message) as caught:
        load_pretrained(name, f"torchvision:{path}")
    assert str(path) in str(caught.value)
    assert ". " not in str(caught.value).replace("0. ", "")


def test_another_network_is_refused(file, torchvision_tensors):
    path = file(torchvision_tensors)
    with pytest.raises(UserError, match="there are none of mobilenet_v1, only of mobilenet_v2"):
        load_pretrained("mobilenet_v1_100", f"torchvision:{path}")
    with pytest.raises(UserError, match=r"conv_stem.weight \[16, 3, 3, 3\] is missing"):
        load_pretrained("mobilenet_v2_035", f"timm:{path}")


def test_another_number_of_classes_is_refused_unless_it_is_asked_for(file):
    tensors = _tensors("torchvision", "mobilenet_v2_035", 10)
    path = file(tensors)
    with pytest.raises(UserError, match=r"classifier.1.weight is \[10, 1280\] .* num_classes=10"):
        load_pretrained("mobilenet_v2_035", f"torchvision:{path}")
    model = load_pretrained("mobilenet_v2_035", f"torchvision:{path}", 10).model
    np.testing.assert_array_equal(model.logits.bias[...], tensors["classifier.1.bias"])


def test_a_new_classifier_is_announced(file, torchvision_tensors, caplog):
    weights = f"torchvision:{file(torchvision_tensors)}"
    with caplog.at_level(logging.WARNING):
        loaded = load_pretrained("mobilenet_v2_035", weights, 5)
    assert "has 1000 classes: that of the network, of 5 classes, is new" in caplog.text
    assert not loaded.has_own_classifier
    assert loaded.model.logits.kernel.shape == (1280, 5)
    assert (loaded.model.logits.bias[...] == 0).all()
    assert float(jnp.std(loaded.model.logits.kernel[...])) > 0.05
    np.testing.assert_array_equal(
        loaded.model.stem.conv.norm.mean[...], torchvision_tensors["features.0.1.running_mean"]
    )


def test_a_file_without_a_classifier_gets_one_or_none(file, caplog):
    weights = f"keras:{file(_tensors('keras', 'mobilenet_v1_025', 0))}"
    with caplog.at_level(logging.WARNING):
        assert load_pretrained("mobilenet_v1_025", weights).model.logits.bias.shape == (1000,)
    assert "is missing: that of the network, of 1000 classes, is new" in caplog.text
    assert not hasattr(load_pretrained("mobilenet_v1_025", weights, 0).model, "logits")


def test_background_is_dropped_or_kept(file):
    tensors = _tensors("slim", "mobilenet_v1_025", 1001)
    weights = f"slim:{file(tensors)}"
    biases = tensors["MobilenetV1/Logits/Conv2d_1c_1x1/biases"]
    for classes, expected in ((None, biases[1:]), (1000, biases[1:]), (1001, biases)):
        model = load_pretrained("mobilenet_v1_025", weights, classes).model
        np.testing.assert_array_equal(model.logits.bias[...], expected)
        assert model.logits.kernel.shape == (256, len(expected))


def test_averages_come_before_raw_weights_and_slots_are_passed_over(file):
    tensors = _tensors("slim", "mobilenet_v2_035", 1001)
    stored = {"global_step": np.int64(3)}
    for name, value in tensors.items():
        stored |= {name: value + 1, f"{name}/ExponentialMovingAverage": value}
        stored[f"{name}/RMSProp_1"] = value
    model = load_pretrained("mobilenet_v2_035", f"slim:{file(stored)}").model
    np.testing.assert_array_equal(
        model.head.conv.norm.scale[...], tensors["MobilenetV2/Conv_1/BatchNorm/gamma"]
    )


def test_transformers_narrowest_network_is_another(file):
    path = file({"any": np.zeros(1, np.float32)})
    with pytest.raises(UserError, match=r"leaves out the shortcut .* of width 0.25"):
        load_pretrained("mobilenet_v2_025", f"transformers:{path}")


def test_a_checkpoint_for_quantised_inference_is_refused(file):
    path = file({"MobilenetV1/Conv2d_0/act_quant/Relu6/min": np.zeros((), np.float32)})
    with pytest.raises(UserError, match="_quant"):
        load_pretrained("mobilenet_v1_100", f"slim:{path}")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("torch", "weights 'torch' do not exist: the sources are torchvision, timm, keras, slim"),
        ("torchvision:", "a file after the colon"),
        ("torchvision:/nowhere/x.pth", "There is no file /nowhere/x.pth"),
        ("torchvision/v3", "called v3 is published; there are 1 at 224"),
        ("timm", "no mobilenet_v2 of width 0.63 is published"),
    ],
)
def test_wrong_words_are_one_sentence(weights, message):
    name = "mobilenet_v2_063" if weights == "timm" else "mobilenet_v2_100"
    with pytest.raises(UserError, match=message):
        create_model(name, weights=weights)


def test_every_published_file_has_an_address_a_name_and_a_network():
    releases = [(source, entry) for source in SOURCES.values() for entry in source.releases]
    names = [f"{source.name}/{entry.file_name}" for source, entry in releases]
    assert len(set(names)) == len(names)
    # torchvision 2; timm 3 and 5; Keras and slim 16 and 22 each; transformers 6.
    assert len(names) == 2 + 8 + 2 * 38 + 6
    for _, entry in releases:
        assert entry.url.startswith("https://")
        create_architecture(entry.family, width=entry.width, **entry.knobs)


@pytest.mark.parametrize("source", list(SOURCES))
def test_a_file_of_ones_own_may_be_for_images_that_are_no_square(source):
    found = find_release("mobilenet_v2_063", f"{source}:/own.file", resolution=(96, 128))
    assert found.preprocessing.resolution == (96, 128)
    if source == "transformers":  # its resized short side is 32 pixels longer than the crop
        assert found.preprocessing.eval_fraction == 96 / 128


def test_the_resolution_chooses_among_published_files(monkeypatch):
    asked = []

    def fetch(url, name, **_):
        asked.append((url.rpartition("/")[2], name))
        raise UserError("no network here")

    monkeypatch.setattr("mobilenet.weights.cache.fetch", fetch)
    for name, weights, knobs in (
        ("mobilenet_v2_100", "torchvision", {}),
        ("mobilenet_v2_100", "torchvision/v2", {}),
        ("mobilenet_v1_050", "keras", {"resolution": 160}),
        ("mobilenet_v2_035", "slim", {"resolution": 100}),
        ("mobilenet_v1_100", "timm", {"head": 1024}),
        ("mobilenet_v2_110", "timm", {}),
    ):
        with pytest.raises(UserError, match="no network here"):
            create_model(name, weights=weights, **knobs)
    assert [url for url, _ in asked] == [
        "mobilenet_v2-b0353104.pth", "mobilenet_v2-7ebf99e0.pth", "mobilenet_5_0_160_tf.h5",
        "mobilenet_v2_0.35_224.tgz", "model.safetensors", "mobilenetv2_110d_ra-77090ade.pth",
    ]  # fmt: skip
    assert asked[4][1] == "timm/mobilenetv1_100h.ra4_e3600_r224_in1k.safetensors"


@pytest.mark.parametrize("name", ["x.npz", "x.safetensors", "x.h5", "x.ckpt.index", "x.tgz"])
def test_a_damaged_file_is_named(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"no such thing, but long enough to hold the end of a table of entries")
    (tmp_path / "x.ckpt.data-00000-of-00001").write_bytes(b"")
    with pytest.raises(UserError, match=f"{name} cannot be read"):
        load_pretrained("mobilenet_v1_100", f"slim:{path}")


def test_another_ending_is_refused(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"")
    with pytest.raises(UserError, match="has none of the endings that are read"):
        load_pretrained("mobilenet_v1_100", f"slim:{tmp_path / 'x.onnx'}")


@pytest.mark.parametrize(
    ("name", "source", "folder", "key"),
    [
        ("mobilenet_v2_100", "torchvision", _TORCHVISION, "v2_100_torchvision_logits"),
        ("mobilenet_v1_100", "slim", _SLIM, "v1_100_slim_logits1001"),
    ],
)
def test_published_weights_give_their_logits(test_data, name, source, folder, key):
    file = test_data / "weights" / folder / f"{folder}.npz"
    reference = np.load(test_data / "weights" / "reference_outputs.npz")
    expected = reference[key]
    model = create_model(name, weights=f"{source}:{file}", num_classes=expected.shape[1])
    logits = evaluate(model, reference["images_uint8_224"])
    # 1.9e-5 and 3.6e-5 were measured; the largest logit is 26.
    assert np.abs(logits - expected).max() < 1e-4
