"""Converted files, loaded by the libraries themselves and by the Python that we print for it.

With scripts/test.sh --parity, as test_parity.py.
"""

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors

from mobilenet.networks.preprocessing import normalize
from mobilenet.weights.convert import convert
from mobilenet.weights.pretrained import load_pretrained
from mobilenet.weights.targets import TARGETS
from tests.helpers.logits import compare, evaluate
from tests.helpers.random_weights import draw_network

pytestmark = [
    pytest.mark.parity,
    # Other libraries deprecate their own insides.
    pytest.mark.filterwarnings("default"),
]

_CLASSES = 100
_TORCH = {"padding": "symmetric", "norm_epsilon": 1e-5}


def _theirs(to, path, code, images):
    """Runs the printed lines, and with the model that they make the images."""
    if to == "keras":
        keras = pytest.importorskip("keras")
        names = {"keras": keras}
        exec(code, names)
        return np.asarray(names["model"](images, training=False))
    torch = pytest.importorskip("torch")
    load_file = pytest.importorskip("safetensors.torch").load_file
    names = {"safetensors": safetensors, to: pytest.importorskip(to)}
    exec(code, names)
    model = names["model"].eval()
    # What the library itself would save.
    loaded, state = load_file(path), model.state_dict()
    assert {k: v.dtype for k, v in loaded.items()} == {k: v.dtype for k, v in state.items()}
    with torch.no_grad():
        # In 64 bits, as test_parity.py.
        inputs = torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float64))
        return model.double()(inputs).numpy()


def _compare(record_property, tmp_path, pretrained, to, images):
    path = tmp_path / f"x{TARGETS[to].ending}"
    expected = _theirs(to, path, convert(pretrained, to, path), images)
    architecture = pretrained.model.architecture
    what = f"to {to}: {architecture.name} {architecture.width:g} {images.shape[1]}"
    compare(record_property, evaluate(pretrained.model, images), expected, what)


_V1, _V2 = "mobilenet_v1", "mobilenet_v2"
_CASES = [
    *(("torchvision", f"{_V2}_{w}", 64, _TORCH) for w in ("025", "035", "075", "100", "140")),
    ("torchvision", f"{_V2}_035", 97, _TORCH),
    *(("timm", f"{_V2}_{w}", 64, _TORCH) for w in ("035", "050", "075", "100", "140")),
    *(("timm", f"{_V1}_{w}", 64, _TORCH) for w in ("100", "125")),
    ("timm", f"{_V1}_100", 64, _TORCH | {"head": 1024}),
    ("timm", f"{_V2}_110", 64, _TORCH | {"depth_multiplier": 1.2}),
    ("timm", f"{_V2}_120", 64, _TORCH | {"depth_multiplier": 1.4}),
    # As TensorFlow pads, which timm's networks do when they are told.
    *(("timm", f"{_V1}_100", side, {}) for side in (64, 97)),
    *(("timm", f"{_V2}_035", side, {}) for side in (64, 97)),
    *(("keras", f"{_V1}_{w}", 64, {}) for w in ("025", "030", "050", "075", "100", "125")),
    *(("keras", f"{_V2}_{w}", 64, {}) for w in ("025", "035", "050", "075", "100", "130", "140")),
    *(("keras", f"{_V2}_035", side, {}) for side in (97, 75)),
]  # fmt: skip


@pytest.mark.parametrize(("to", "name", "resolution", "knobs"), _CASES)
def test_drawn_networks(record_property, tmp_path, to, name, resolution, knobs):
    pretrained = draw_network(name, _CLASSES, resolution=resolution, **knobs)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((2, resolution, resolution, 3)).astype(np.float32)
    _compare(record_property, tmp_path, pretrained, to, images)


def test_keras_without_a_classifier(record_property, tmp_path):
    pretrained = draw_network("mobilenet_v1_025", 0, resolution=64)
    images = np.random.default_rng(0).standard_normal((2, 64, 64, 3)).astype(np.float32)
    _compare(record_property, tmp_path, pretrained, "keras", images)


@pytest.mark.parametrize(
    ("to", "name", "source", "folder", "key"),
    [
        *(
            (
                to, "mobilenet_v2_100", "torchvision", "mobilenet_v2_1.0_224_torchvision",
                "v2_100_torchvision_logits",
            )
            for to in ("torchvision", "timm")
        ),
        *(
            (
                to, "mobilenet_v1_100", "slim", "mobilenet_v1_1.0_224_slim",
                "v1_100_slim_logits1001",
            )
            for to in ("timm", "keras")
        ),
    ],
)  # fmt: skip
def test_published_weights_on_photographs(
    test_data, record_property, tmp_path, to, name, source, folder, key
):
    """The logits of 16 photographs, which were computed without us."""
    file = test_data / "weights" / folder / f"{folder}.npz"
    reference = np.load(test_data / "weights" / "reference_outputs.npz")
    pretrained = load_pretrained(name, f"{source}:{file}")
    own = pretrained.model.preprocessing
    images = np.asarray(normalize(jnp.asarray(reference["images_uint8_224"]), own.mean, own.stddev))
    path = tmp_path / f"x{TARGETS[to].ending}"
    logits = _theirs(to, path, convert(pretrained, to, path), images)
    expected = reference[key][:, -1000:]  # slim's without background
    compare(record_property, logits, expected, f"{name} of {source} to {to}, photographs")
