"""The libraries that weights are converted to: which networks they have, and how they load them."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import safetensors.numpy

from mobilenet.errors import UserError
from mobilenet.networks.architecture import TRAINING_KNOBS, Architecture, defaults
from mobilenet.networks.cost import walk
from mobilenet.runtime.formatting import format_size
from mobilenet.weights import keras, timm, torchvision
from mobilenet.weights.keras_writer import write_keras_file
from mobilenet.weights.layout import Convention, Tensors

# Knobs that change no logit of a trained network, or of which a library takes any value.
_FREE = ("width", "resolution", "num_classes", *TRAINING_KNOBS)


@dataclasses.dataclass(frozen=True)
class Target:
    """A library that loads converted weights.

    Attributes:
      name: as in `--to=name`.
      convention: of its tensors.
      families: the networks that it has.
      knobs: what its networks have otherwise than ours by default.
      choices: knobs of which it takes several values, if not any.
      ending: of its files.
      complete: adds the tensors that its networks have and ours do not.
      write: writes the file.
      lacks: says why it has no such network, in the middle of a sentence; "" if it has it.
      code: Python that loads the file at a path.
    """

    name: str
    convention: Convention
    families: tuple[str, ...]
    knobs: Mapping[str, Any]
    choices: tuple[str, ...]
    ending: str
    complete: Callable[[Tensors], Tensors]
    write: Callable[[Tensors, pathlib.Path], None]
    lacks: Callable[[Architecture], str]
    code: Callable[[Architecture, str], tuple[str, ...]]

    def misfit(self, architecture: Architecture) -> str:
        """Says why the library's network would not give our logits; "" if it gives them."""
        family = architecture.name
        if family not in self.families:
            return f"{self.name} has no {family}"
        theirs, ours = {**defaults(family), **self.knobs}, dataclasses.asdict(architecture)
        others = [
            name
            for name, value in ours.items()
            if name not in (*_FREE, *self.choices) and value != theirs[name]
        ]
        if others:
            has, need = (", ".join(f"{k}={v[k]}" for k in others) for v in (theirs, ours))
            return (
                f"{family} of {self.name} has {has} and these weights need {need}, without which "
                "they would give other logits"
            )
        return self.lacks(architecture)


def find_target(name: str, architecture: Architecture) -> Target:
    """Returns the target of a name, if it has the network.

    Raises:
      UserError: there is no such target, or its network would give other logits.
    """
    if name not in TARGETS:
        raise UserError(f"--to={name} must be one of {', '.join(TARGETS)}.")
    misfits = {other: target.misfit(architecture) for other, target in TARGETS.items()}
    if misfits[name]:
        fitting = [f"--to={other}" for other, misfit in misfits.items() if not misfit]
        advice = f"{' and '.join(fitting)} can" if fitting else "no library that we write for can"
        raise UserError(f"Cannot convert to {name}: {misfits[name]}; {advice}.")
    return TARGETS[name]


def _torchvision_lacks(architecture: Architecture) -> str:
    return "" if architecture.num_classes else "its networks cannot be without a classifier"


def _torchvision_code(architecture: Architecture, path: str) -> tuple[str, ...]:
    return (
        f"model = torchvision.models.mobilenet_v2(num_classes={architecture.num_classes}, "
        f"width_mult={architecture.width:g})",
        f"model.load_state_dict(safetensors.torch.load_file({path!r}))",
    )


# What `timm.create_model` has (timm/models/efficientnet.py): by family, width and the knob of
# which some networks have another value.
_TIMM_NAMES = {
    ("mobilenet_v1", 1.0, 0): "mobilenetv1_100",
    ("mobilenet_v1", 1.0, 1024): "mobilenetv1_100h",
    ("mobilenet_v1", 1.25, 0): "mobilenetv1_125",
    ("mobilenet_v2", 0.35, 1.0): "mobilenetv2_035",
    ("mobilenet_v2", 0.5, 1.0): "mobilenetv2_050",
    ("mobilenet_v2", 0.75, 1.0): "mobilenetv2_075",
    ("mobilenet_v2", 1.0, 1.0): "mobilenetv2_100",
    ("mobilenet_v2", 1.4, 1.0): "mobilenetv2_140",
    ("mobilenet_v2", 1.1, 1.2): "mobilenetv2_110d",
    ("mobilenet_v2", 1.2, 1.4): "mobilenetv2_120d",
}


def _timm_name(architecture: Architecture) -> str | None:
    knob = "head" if architecture.name == "mobilenet_v1" else "depth_multiplier"
    size = getattr(architecture, knob)
    return _TIMM_NAMES.get((architecture.name, architecture.width, size))


def _timm_lacks(architecture: Architecture) -> str:
    if _timm_name(architecture):
        return ""
    return f"timm has no network of this size, only {', '.join(_TIMM_NAMES.values())}"


def _timm_code(architecture: Architecture, path: str) -> tuple[str, ...]:
    arguments = [repr(_timm_name(architecture)), f"num_classes={architecture.num_classes}"]
    if architecture.padding == "same":
        arguments.append("pad_type='same'")
    if architecture.norm_epsilon != torchvision.PYTORCH_KNOBS["norm_epsilon"]:
        arguments.append(f"bn_eps={architecture.norm_epsilon:g}")
    return (f"model = timm.create_model({', '.join(arguments)}, checkpoint_path={path!r})",)


def _write_safetensors(tensors: Tensors, path: pathlib.Path) -> None:
    # `save_file` would make a file that only its owner may read.
    path.write_bytes(safetensors.numpy.save(tensors, metadata={"format": "pt"}))


def _keras_lacks(architecture: Architecture) -> str:
    if architecture.name != "mobilenet_v1":
        return ""
    # Ours keeps 8 channels, as slim does; no layer has fewer than the stem.
    stem = int(32 * architecture.width)
    if architecture.blocks[0].out_channels != stem:
        return f"its mobilenet_v1 of width {architecture.width:g} has a stem of {stem} channels"
    # Keras pads these layers by a fixed pixel (keras/src/applications/mobilenet.py).
    for layer in walk(architecture):
        odd = [side for side in layer.input_shape[:2] if side % 2]
        if layer.operator == "depthwise" and layer.stride == 2 and odd:
            return (
                f"its mobilenet_v1 pads inputs of odd sides otherwise, and at "
                f"{format_size(architecture.resolution)} pixels that of {layer.name} is {odd[0]}"
            )
    return ""


def _keras_code(architecture: Architecture, path: str) -> tuple[str, ...]:
    name = {"mobilenet_v1": "MobileNet", "mobilenet_v2": "MobileNetV2"}[architecture.name]
    (height, width), classes = architecture.size, architecture.num_classes
    top = (
        f"classes={classes}, classifier_activation=None"
        if classes
        else "include_top=False, pooling='avg'"
    )
    return (
        f"model = keras.applications.{name}(input_shape=({height}, {width}, 3), "
        f"alpha={architecture.width:g}, weights={path!r}, {top})",
    )


_BOTH = ("mobilenet_v1", "mobilenet_v2")
TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target(
            name="torchvision",
            convention=torchvision.CONVENTION,
            families=("mobilenet_v2",),
            knobs=torchvision.PYTORCH_KNOBS,
            choices=(),
            ending=".safetensors",
            complete=torchvision.with_counters,
            write=_write_safetensors,
            lacks=_torchvision_lacks,
            code=_torchvision_code,
        ),
        Target(
            name="timm",
            convention=timm.CONVENTION,
            families=_BOTH,
            knobs=torchvision.PYTORCH_KNOBS,
            choices=("head", "depth_multiplier", "padding", "norm_epsilon"),
            ending=".safetensors",
            complete=torchvision.with_counters,
            write=_write_safetensors,
            lacks=_timm_lacks,
            code=_timm_code,
        ),
        Target(
            name="keras",
            convention=keras.CONVENTION,
            families=_BOTH,
            knobs={},  # our defaults are TensorFlow's
            choices=(),
            ending=".h5",
            complete=dict,
            write=write_keras_file,
            lacks=_keras_lacks,
            code=_keras_code,
        ),
    )
}
