"""Logits on random weights, beside the libraries that the weights come from: pytest -m parity.

Every library writes a file as its users would, and the same file gives our logits.
"""

import numpy as np
import pytest

from mobilenet.weights.pretrained import load_pretrained
from tests.helpers.logits import compare, evaluate

pytestmark = [
    pytest.mark.parity,
    # Other libraries deprecate their own insides.
    pytest.mark.filterwarnings("default"),
]

_CLASSES = 100


def _images(resolution):
    images = np.random.default_rng(0).standard_normal((2, resolution, resolution, 3))
    return images.astype(np.float32)


def _compare(record_property, expected, images, name, weights, num_classes, **knobs):
    model = load_pretrained(name, weights, num_classes, **knobs).model
    what = f"{name} {weights.partition(':')[0]} {images.shape[1]}"
    compare(record_property, evaluate(model, images), expected, what)


def _randomize_torch(torch, model):
    """Makes statistics and affine parameters of BatchNorm matter, and images reach the logits.

    With some libraries' first values and such statistics, what goes through shrinks to nothing.
    """
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, generator=generator)
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor, low in ((module.running_var, 0.5), (module.weight.data, 0.5)):
                tensor.copy_(low + torch.rand(tensor.shape, generator=generator))
            for tensor in (module.running_mean, module.bias.data):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) - 0.5)
    return model.eval()


def _run_torch(torch, model, images):
    # In 64 bits: with such weights PyTorch's own rounding in 32 reaches 1e-4 where it is deepest.
    with torch.no_grad():
        return model.double()(torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float64)))


@pytest.fixture
def torch():
    library = pytest.importorskip("torch")
    library.manual_seed(0)  # of classifiers
    return library


@pytest.mark.parametrize(
    ("width", "resolution"), [(0.35, 97), (0.5, 64), (1.0, 224), (1.0, 97), (1.3, 64), (1.4, 96)]
)
@pytest.mark.parametrize("is_zip", [True, False])
def test_torchvision(torch, tmp_path, record_property, width, resolution, is_zip):
    models = pytest.importorskip("torchvision.models")
    model = _randomize_torch(torch, models.mobilenet_v2(num_classes=_CLASSES, width_mult=width))
    path = tmp_path / "x.pth"
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=is_zip)
    images = _images(resolution)
    _compare(
        record_property, _run_torch(torch, model, images).numpy(), images,
        f"mobilenet_v2_{round(100 * width):03d}", f"torchvision:{path}", _CLASSES,
    )  # fmt: skip


_TIMM = {
    "mobilenetv1_100": ("mobilenet_v1_100", {}),
    "mobilenetv1_100h": ("mobilenet_v1_100", {"head": 1024}),
    "mobilenetv1_125": ("mobilenet_v1_125", {}),
    "mobilenetv2_035": ("mobilenet_v2_035", {}),
    "mobilenetv2_050": ("mobilenet_v2_050", {}),
    "mobilenetv2_075": ("mobilenet_v2_075", {}),
    "mobilenetv2_100": ("mobilenet_v2_100", {}),
    "mobilenetv2_110d": ("mobilenet_v2_110", {}),
    "mobilenetv2_120d": ("mobilenet_v2_120", {}),
    "mobilenetv2_140": ("mobilenet_v2_140", {}),
}


@pytest.mark.parametrize("resolution", [64, 97])
@pytest.mark.parametrize("name", _TIMM)
def test_timm(torch, tmp_path, record_property, name, resolution):
    timm = pytest.importorskip("timm")
    safetensors_torch = pytest.importorskip("safetensors.torch")
    model = _randomize_torch(torch, timm.create_model(name, num_classes=_CLASSES))
    path = tmp_path / "model.safetensors"
    safetensors_torch.save_file(model.state_dict(), path)
    images = _images(resolution)
    ours, knobs = _TIMM[name]
    _compare(
        record_property, _run_torch(torch, model, images).numpy(), images,
        ours, f"timm:{path}", _CLASSES, **knobs,
    )  # fmt: skip


@pytest.mark.parametrize("resolution", [64, 97])
@pytest.mark.parametrize(
    ("family", "width"),
    [
        *(("V1", width) for width in (0.25, 0.35, 0.5, 0.75, 1.0, 1.4)),
        # Below .35 the first block's ends are as wide, and transformers has no shortcut there.
        *(("V2", width) for width in (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)),
    ],
)
def test_transformers(torch, tmp_path, record_property, family, width, resolution):
    library = pytest.importorskip("transformers")
    config = getattr(library, f"MobileNet{family}Config")(
        depth_multiplier=width, num_labels=_CLASSES, image_size=resolution
    )
    model = getattr(library, f"MobileNet{family}ForImageClassification")(config)
    _randomize_torch(torch, model).save_pretrained(tmp_path, safe_serialization=True)
    images = _images(resolution)
    _compare(
        record_property, _run_torch(torch, model, images).logits.numpy(), images,
        f"mobilenet_{family.lower()}_{round(100 * width):03d}",
        f"transformers:{tmp_path / 'model.safetensors'}", _CLASSES,
    )  # fmt: skip


def _keras_model(family, width, resolution, with_top=True):
    keras = pytest.importorskip("keras")
    application = {"V1": "MobileNet", "V2": "MobileNetV2"}[family]
    model = getattr(keras.applications, application)(
        input_shape=(resolution, resolution, 3), alpha=width, weights=None, classes=_CLASSES,
        include_top=with_top, pooling=None if with_top else "avg", classifier_activation=None,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            kernel, *bias = layer.get_weights()
            inputs = np.prod(kernel.shape[: 2 if "Depthwise" in type(layer).__name__ else 3])
            kernel = rng.standard_normal(kernel.shape, np.float32) * np.sqrt(2 / inputs)
            layer.set_weights([kernel.astype(np.float32), *bias])
        if isinstance(layer, keras.layers.BatchNormalization):
            sizes = [value.shape for value in layer.get_weights()]
            gamma, beta, mean, var = (rng.random(size, np.float32) for size in sizes)
            layer.set_weights([gamma + 0.5, beta - 0.5, mean - 0.5, var + 0.5])
    return model


_KERAS = [
    *(("V1", width, 64) for width in (0.25, 0.5, 0.75, 1.0)),
    # Where the input of a strided layer is odd, Keras' V1 pads otherwise than slim, which trained
    # its weights.
    ("V1", 0.25, 96),
    *(("V2", width, 64) for width in (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)),
    *(("V2", 0.35, resolution) for resolution in (96, 97, 75)),
]


@pytest.mark.parametrize("with_top", [True, False])
@pytest.mark.parametrize(("family", "width", "resolution"), _KERAS)
def test_keras(tmp_path, record_property, family, width, resolution, with_top):
    model = _keras_model(family, width, resolution, with_top)
    path = tmp_path / "weights.h5"
    model.save(path)
    images = _images(resolution)
    _compare(
        record_property, np.asarray(model(images, training=False)), images,
        f"mobilenet_{family.lower()}_{round(100 * width):03d}", f"keras:{path}",
        _CLASSES if with_top else 0,
    )  # fmt: skip


def _slim_names(family, width, resolution):
    """The tensors of a Keras model under slim's names."""
    renamed = {}
    leaves = {"gamma": "BatchNorm/gamma", "beta": "BatchNorm/beta"}
    leaves |= {name: f"BatchNorm/{name}" for name in ("moving_mean", "moving_variance")}
    model = _keras_model(family, width, resolution)
    for layer in model.layers:
        words = layer.name.removesuffix("_bn").removesuffix("_BN").removeprefix("bn_").split("_")
        is_depthwise = type(layer).__name__ == "DepthwiseConv2D"
        match words:
            case ["conv1" | "Conv1"]:
                scope = "Conv2d_0" if family == "V1" else "Conv"
            case ["conv", ("dw" | "pw") as kind, number]:
                scope = f"Conv2d_{number}_{ {'dw': 'depthwise', 'pw': 'pointwise'}[kind] }"
            case ["expanded", "conv", kind]:
                scope = f"expanded_conv/{kind}"
            case ["block", number, kind]:
                scope = f"expanded_conv_{number}/{kind}"
            case ["Conv", "1"]:
                scope = "Conv_1"
            case ["conv", "preds"] | ["predictions"]:
                scope = "Logits/Conv2d_1c_1x1"
            case _:
                continue
        for variable in layer.weights:
            leaf = {"kernel": "depthwise_weights" if is_depthwise else "weights", "bias": "biases"}
            name = (leaf | leaves)[variable.name.replace("depthwise_kernel", "kernel")]
            value = np.asarray(variable)
            if words == ["predictions"] and value.ndim == 2:
                value = value[None, None]
            renamed[f"Mobilenet{family}/{scope}/{name}"] = value
    return model, renamed


@pytest.mark.parametrize("resolution", [64, 96])
@pytest.mark.parametrize(("family", "width"), [("V1", 0.5), ("V2", 0.35), ("V2", 1.4)])
def test_slim_checkpoints(tmp_path, record_property, family, width, resolution):
    """TensorFlow writes the checkpoint, with raw weights and slots beside the averages."""
    tf = pytest.importorskip("tensorflow")
    model, tensors = _slim_names(family, width, resolution)
    stored = {"global_step": np.int64(7)}
    for name, value in tensors.items():
        stored |= {name: value + 1, f"{name}/RMSProp": value, f"{name}/RMSProp_1": value}
        stored[f"{name}/ExponentialMovingAverage"] = value
    prefix = str(tmp_path / "model.ckpt")
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=list(stored),
        shape_and_slices=[""] * len(stored),
        tensors=[tf.constant(value) for value in stored.values()],
    )
    images = _images(resolution)
    _compare(
        record_property, np.asarray(model(images, training=False)), images,
        f"mobilenet_{family.lower()}_{round(100 * width):03d}", f"slim:{prefix}", _CLASSES,
    )  # fmt: skip
