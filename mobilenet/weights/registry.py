"""All published ImageNet weights of both networks, by their source, and what goes with them.

Sources, where nothing else is said: torchvision/models/mobilenetv2.py; timm/models/efficientnet.py
`default_cfgs`; keras/src/applications/mobilenet.py and mobilenet_v2.py; tensorflow/models
research/slim nets/mobilenet_v1.md and nets/mobilenet/README.md; huggingface.co/google.
"""

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from typing import Any

from mobilenet.config import size_of
from mobilenet.errors import UserError
from mobilenet.networks.preprocessing import IMAGENET_MEAN, IMAGENET_STDDEV, SLIM, Preprocessing
from mobilenet.weights import keras, slim, timm, torchvision, transformers
from mobilenet.weights.layout import Convention

Resolution = int | tuple[int, int]

_V1, _V2 = "mobilenet_v1", "mobilenet_v2"
_HUB = "https://huggingface.co"
_TORCH_HUB = "https://download.pytorch.org/models"
_TIMM_RELEASE = "https://github.com/huggingface/pytorch-image-models/releases/download/v0.1-weights"
_STORAGE = "https://storage.googleapis.com"

# Knobs that change the tensors, with the values that the papers' networks have.
SHAPE_KNOBS: Mapping[str, Mapping[str, Any]] = {
    _V1: {"head": 0},
    _V2: {"depth_multiplier": 1.0},
}


@dataclasses.dataclass(frozen=True)
class Release:
    """One file of weights.

    Attributes:
      label: what the publisher calls it, without an ending.
      family: `mobilenet_v1` or `mobilenet_v2`.
      width: the width multiplier.
      knobs: of the architecture; all that differs from the defaults.
      preprocessing: as its publisher evaluates it.
      url: where it lies; empty for a file that only the user has.
      file_name: its name in the cache.
      sha256: leading hexadecimal digits of its hash, where the publisher gives them.
    """

    label: str
    family: str
    width: float
    knobs: Mapping[str, Any]
    preprocessing: Preprocessing
    url: str = ""
    file_name: str = ""
    sha256: str | None = None


@dataclasses.dataclass(frozen=True)
class Source:
    """A library that publishes weights.

    Attributes:
      name: as in `--weights=name`.
      convention: of its tensors.
      families: the networks that it has.
      releases: its files; of several for one network the first is the default.
      settings: knobs and preprocessing of a network and resolution of which it publishes nothing.
      file_format: the ending of its files, for messages.
    """

    name: str
    convention: Convention
    families: tuple[str, ...]
    releases: tuple[Release, ...]
    settings: Callable[[str, Resolution], tuple[Mapping[str, Any], Preprocessing]]
    file_format: str


def find_source(name: str) -> Source:
    """Raises UserError if there is no such source."""
    if name not in SOURCES:
        raise UserError(f"weights {name!r} do not exist: the sources are {', '.join(SOURCES)}.")
    return SOURCES[name]


# Weights of PyTorch's libraries are trained with its padding and its epsilon.
_TORCH_KNOBS = torchvision.PYTORCH_KNOBS
# torchvision resizes by Pillow's filters or like them (transforms/functional.py, antialias=True).
_TORCHVISION = Preprocessing(
    IMAGENET_MEAN, IMAGENET_STDDEV, 224, "center", 224 / 256, "pillow_bilinear"
)


def _torchvision() -> Source:
    # Two weights of one network: version 2 is of a newer recipe and resizes to 232 pixels.
    second = dataclasses.replace(_TORCHVISION, eval_fraction=224 / 232)
    files = (("v1", "mobilenet_v2-b0353104", _TORCHVISION), ("v2", "mobilenet_v2-7ebf99e0", second))
    releases = tuple(
        Release(
            label=version,
            family=_V2,
            width=1.0,
            knobs=_TORCH_KNOBS,
            preprocessing=preprocessing,
            url=f"{_TORCH_HUB}/{name}.pth",
            file_name=f"{name}.pth",
            # PyTorch's hub checks the digits in the name (torch/hub.py, HASH_REGEX).
            sha256=name.partition("-")[2],
        )
        for version, name, preprocessing in files
    )

    def settings(_: str, resolution: Resolution) -> tuple[Mapping[str, Any], Preprocessing]:
        return _TORCH_KNOBS, dataclasses.replace(_TORCHVISION, resolution=resolution)

    return Source("torchvision", torchvision.CONVENTION, (_V2,), releases, settings, ".pth")


def _timm() -> Source:
    v1 = Preprocessing(eval_crop="center", eval_fraction=0.875, interpolation="pillow_bicubic")
    v2 = dataclasses.replace(v1, mean=IMAGENET_MEAN, stddev=IMAGENET_STDDEV)
    by_family = {_V1: v1, _V2: v2}

    def entry(
        label: str,
        family: str,
        width: float,
        release: str = "",
        fraction: float = 0.875,
        **knobs: Any,
    ) -> Release:
        # The files of the older releases carry digits of their hash, as PyTorch's do; of the hub's
        # the hash comes with the download.
        return Release(
            label=label,
            family=family,
            width=width,
            knobs={**_TORCH_KNOBS, **knobs},
            preprocessing=dataclasses.replace(by_family[family], eval_fraction=fraction),
            url=f"{_TIMM_RELEASE}/{release}"
            if release
            else f"{_HUB}/timm/{label}/resolve/main/model.safetensors",
            file_name=release or f"{label}.safetensors",
            sha256=release.rpartition("-")[2].partition(".")[0] or None,
        )

    releases = (
        entry("mobilenetv1_100.ra4_e3600_r224_in1k", _V1, 1.0),
        entry("mobilenetv1_100h.ra4_e3600_r224_in1k", _V1, 1.0, head=1024),
        entry("mobilenetv1_125.ra4_e3600_r224_in1k", _V1, 1.25, fraction=0.9),
        entry("mobilenetv2_050.lamb_in1k", _V2, 0.5, "mobilenetv2_050-3d30d450.pth"),
        entry("mobilenetv2_100.ra_in1k", _V2, 1.0, "mobilenetv2_100_ra-b33bc2c4.pth"),
        entry(
            "mobilenetv2_110d.ra_in1k",
            _V2,
            1.1,
            "mobilenetv2_110d_ra-77090ade.pth",
            depth_multiplier=1.2,
        ),
        entry(
            "mobilenetv2_120d.ra_in1k",
            _V2,
            1.2,
            "mobilenetv2_120d_ra-5987e2ed.pth",
            depth_multiplier=1.4,
        ),
        entry("mobilenetv2_140.ra_in1k", _V2, 1.4, "mobilenetv2_140_ra-21a4e913.pth"),
    )

    def settings(family: str, resolution: Resolution) -> tuple[Mapping[str, Any], Preprocessing]:
        return _TORCH_KNOBS, dataclasses.replace(by_family[family], resolution=resolution)

    return Source("timm", timm.CONVENTION, (_V1, _V2), releases, settings, ".safetensors")


def _slim_settings(_: str, resolution: Resolution) -> tuple[Mapping[str, Any], Preprocessing]:
    # The architecture's own defaults are slim's.
    return {}, dataclasses.replace(SLIM, resolution=resolution)


def _sizes(
    widths: tuple[float, ...], resolutions: tuple[int, ...], wide: tuple[float, ...] = ()
) -> list[tuple[float, int]]:
    """Widths with every resolution, and wider ones with the first."""
    return [*itertools.product(widths, resolutions), *((width, resolutions[0]) for width in wide)]


_V1_SIZES = _sizes((1.0, 0.75, 0.5, 0.25), (224, 192, 160, 128))
_V2_SIZES = _sizes((1.0, 0.75, 0.5, 0.35), (224, 192, 160, 128, 96), (1.4, 1.3))
# TensorFlow's own build checks this one (tensorflow/workspace2.bzl, tflite_mobilenet_float).
_SLIM_HASHES = {
    "mobilenet_v1_1.0_224": "2fadeabb9968ec6833bee903900dda6e61b3947200535874ce2fe42a8493abc0"
}


def _slim() -> Source:
    folders = {
        _V1: f"{_STORAGE}/download.tensorflow.org/models/mobilenet_v1_2018_08_02",
        _V2: f"{_STORAGE}/mobilenet_v2/checkpoints",
    }

    def entry(family: str, width: float, resolution: int) -> Release:
        label = f"{family}_{width}_{resolution}"
        return Release(
            label=label,
            family=family,
            width=width,
            knobs={},
            preprocessing=dataclasses.replace(SLIM, resolution=resolution),
            url=f"{folders[family]}/{label}.tgz",
            file_name=f"{label}.tgz",
            sha256=_SLIM_HASHES.get(label),
        )

    releases = [entry(_V1, *size) for size in _V1_SIZES] + [entry(_V2, *s) for s in _V2_SIZES]
    return Source(
        "slim", slim.CONVENTION, (_V1, _V2), tuple(releases), _slim_settings, ".tgz or .ckpt"
    )


def _keras() -> Source:
    # Keras does not say how to crop. Its weights are conversions of slim's or trained alike, so
    # they are seen as slim sees them.
    folder = f"{_STORAGE}/tensorflow/keras-applications"
    v1_widths = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}
    files = [
        (_V1, width, side, f"mobilenet/mobilenet_{v1_widths[width]}_{side}_tf.h5")
        for width, side in _V1_SIZES
    ] + [
        (
            _V2, width, side,
            f"mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{width}_{side}.h5",
        )
        for width, side in _V2_SIZES
    ]  # fmt: skip
    releases = tuple(
        Release(
            label=path.partition("/")[2].removesuffix(".h5"),
            family=family,
            width=width,
            knobs={},
            preprocessing=dataclasses.replace(SLIM, resolution=side),
            url=f"{folder}/{path}",
            file_name=path.partition("/")[2],
        )
        for family, width, side, path in files
    )
    return Source("keras", keras.CONVENTION, (_V1, _V2), releases, _slim_settings, ".h5")


def _transformers() -> Source:
    def settings(_: str, resolution: Resolution) -> tuple[Mapping[str, Any], Preprocessing]:
        # The short side is 32 pixels longer than the crop (preprocessor_config.json).
        side = min(size_of(resolution))
        fraction = side / (side + 32)
        return {}, dataclasses.replace(
            SLIM,
            resolution=resolution,
            eval_crop="center",
            eval_fraction=fraction,
            interpolation="pillow_bilinear",
        )

    def entry(family: str, width: float, resolution: int, name: str) -> Release:
        label = f"{family}_{width}_{resolution}"
        knobs, preprocessing = settings(family, resolution)
        return Release(
            label=label,
            family=family,
            width=width,
            knobs=knobs,
            preprocessing=preprocessing,
            url=f"{_HUB}/google/{label}/resolve/main/{name}",
            file_name=f"{label}.{name.rpartition('.')[2]}",
        )

    # Only one of the repositories has merged its safetensors.
    releases = (
        entry(_V1, 1.0, 224, "pytorch_model.bin"),
        entry(_V1, 0.75, 192, "pytorch_model.bin"),
        entry(_V2, 1.0, 224, "model.safetensors"),
        entry(_V2, 1.4, 224, "pytorch_model.bin"),
        entry(_V2, 0.75, 160, "pytorch_model.bin"),
        entry(_V2, 0.35, 96, "pytorch_model.bin"),
    )
    return Source(
        "transformers", transformers.CONVENTION, (_V1, _V2), releases, settings, ".safetensors"
    )


SOURCES: Mapping[str, Source] = {
    source.name: source for source in (_torchvision(), _timm(), _keras(), _slim(), _transformers())
}
