"""From words such as `torchvision` or `slim:weights/model.ckpt` to a network with its weights."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from absl import logging
from jax.typing import DTypeLike

from mobilenet.errors import UserError
from mobilenet.networks.architecture import create_architecture, defaults
from mobilenet.networks.initialization import initialize
from mobilenet.networks.models import MobileNet
from mobilenet.weights import cache
from mobilenet.weights.files import read_tensors
from mobilenet.weights.load import WeightsMismatchError, count_classes, fill
from mobilenet.weights.registry import SHAPE_KNOBS, Release, Source, find_source

# ImageNet's classes, and slim's with its background before them.
IMAGENET_CLASSES = 1000
_WITH_BACKGROUND = 1001


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """A network with published weights.

    Attributes:
      model: filled, in training mode.
      origin: the source and the file, in a few words.
      has_own_classifier: whether the classifier is the file's, so that its classes mean something.
    """

    model: MobileNet
    origin: str
    has_own_classifier: bool


@dataclasses.dataclass(frozen=True)
class WeightsName:
    """What names weights: `source[/label][:file]`."""

    source: Source
    label: str
    file: pathlib.Path | None

    @classmethod
    def parse(cls, text: str) -> "WeightsName":
        before, _, file = text.partition(":")
        name, _, label = before.partition("/")
        path = pathlib.Path(file).expanduser() if file else None
        if ":" in text and not file:
            raise UserError(f"weights {text!r}: there must be a file after the colon.")
        return cls(find_source(name), label, path)


def load_pretrained(
    name: str,
    weights: str,
    num_classes: int | None = None,
    *,
    seed: int = 0,
    dtype: DTypeLike = jnp.float32,
    **knobs: Any,
) -> Pretrained:
    """Returns a network with the weights of a source, downloaded once or from a file.

    Args:
      name: as in `mobilenet.networks.architecture.create_architecture`.
      weights: `torchvision`, `timm`, `keras`, `slim` or `transformers`; behind a slash the
        publisher's label, or how it begins, where there are several (`torchvision/v2`); behind a
        colon a local file (`torchvision:weights.pth`).
      num_classes: None is ImageNet's 1000. Of files with 1001 classes the first, background, is
        dropped unless 1001 are asked for. Any other number than the file's gives a new classifier
        and a warning; 0 leaves it out.
      seed: of a new classifier.
      dtype: as in `create_model`.
      **knobs: of the architecture; those that the weights need have their values without.

    Raises:
      UserError: no such source or file, no network, or a file that does not fit.
    """
    named = WeightsName.parse(weights)
    source = named.source
    found = _find_release(named, name, knobs)
    path = named.file or cache.fetch(
        found.url,
        f"{source.name}/{found.file_name}",
        sha256=found.sha256,
        local_form=f"--weights={source.name}:/path/to/{found.file_name}",
    )
    tensors = source.convention.clean(read_tensors(path))
    preprocessing = dataclasses.replace(
        found.preprocessing, resolution=knobs.get("resolution", found.preprocessing.resolution)
    )
    settled = {**found.knobs, **knobs, "resolution": preprocessing.resolution}

    def build(classes: int) -> MobileNet:
        architecture = create_architecture(name, num_classes=classes, **settled)
        return MobileNet(architecture, dtype, preprocessing)

    model = build(IMAGENET_CLASSES if num_classes is None else num_classes)
    in_file = count_classes(source.convention, model, tensors)
    classifier = _classifier_action(in_file, num_classes)
    if classifier == "new" and in_file is not None and num_classes is None:
        # Of no number that we know: the shapes then say what is wrong, beside all else.
        classifier = "keep"
    try:
        fill(
            model,
            source.convention,
            tensors,
            where=str(path),
            classifier="skip" if classifier == "new" else classifier,
        )
    except WeightsMismatchError as error:
        if classifier == "keep" and in_file not in (None, 0, model.architecture.num_classes):
            raise WeightsMismatchError(
                f"{str(error).removesuffix('.')}; its classifier has {in_file} classes, which "
                f"num_classes={in_file} takes."
            ) from error
        raise
    if classifier == "new":
        had = f"has {in_file} classes" if in_file is not None else "is missing"
        logging.warning(
            "The classifier of %s %s: that of the network, of %d classes, is new and untrained.",
            path,
            had,
            model.architecture.num_classes,
        )
        initialize(model.logits, seed)
    return Pretrained(
        model=model,
        origin=f"{source.name} ({path})",
        has_own_classifier=classifier in ("keep", "without_background"),
    )


def find_release(name: str, weights: str, **knobs: Any) -> Release:
    """Returns what is known of weights before they are read; nothing is downloaded.

    Args:
      name, weights, knobs: as in `load_pretrained`.

    Raises:
      UserError: no such source, network or published file.
    """
    return _find_release(WeightsName.parse(weights), name, knobs)


def _find_release(named: WeightsName, name: str, knobs: Mapping[str, Any]) -> Release:
    plain = create_architecture(name, **knobs)  # checks the name and every knob
    if plain.name not in named.source.families:
        raise UserError(
            f"weights {named.source.name!r}: there are none of {plain.name}, only of "
            f"{' and '.join(named.source.families)}."
        )
    return _find(named, plain.name, plain.width, knobs)


def _classifier_action(in_file: int | None, wanted: int | None) -> str:
    """Returns what becomes of the file's classifier: keep, without_background, skip or new."""
    if wanted == 0:
        return "skip"
    classes = IMAGENET_CLASSES if wanted is None else wanted
    if in_file == classes:
        return "keep"
    if (in_file, classes) == (_WITH_BACKGROUND, IMAGENET_CLASSES):
        return "without_background"
    return "new"


def _find(named: WeightsName, family: str, width: float, knobs: Mapping[str, Any]) -> Release:
    """Returns the published file that is meant, or for a local file what would go with it."""
    source = named.source
    of_width = [
        entry
        for entry in source.releases
        if (entry.family, round(entry.width, 4)) == (family, round(width, 4))
        and entry.label.startswith(named.label)
        and all(
            knobs[knob] == entry.knobs.get(knob, default)
            for knob, default in SHAPE_KNOBS[family].items()
            if knob in knobs
        )
    ]
    resolution = knobs.get("resolution")
    candidates = [
        entry for entry in of_width if entry.preprocessing.resolution == resolution
    ] or of_width
    if candidates:
        return _recognize(named.file, candidates) if named.file else candidates[0]
    if named.file and not named.label:
        resolution = resolution or defaults(family)["resolution"]
        settings, preprocessing = source.settings(family, resolution)
        return Release("", family, width, settings, preprocessing)
    raise UserError(
        f"weights {source.name!r}: no {family} of width {width:g}"
        f"{f' called {named.label}' if named.label else ''} is published; there are "
        f"{_list(source.releases, family)}; a file of your own is "
        f"{source.name}:/path/to/file{source.file_format.partition(' ')[0]}."
    )


def _recognize(file: pathlib.Path, candidates: Sequence[Release]) -> Release:
    """Returns the published file that a local one is, by its name or its hash, else the first."""
    for entry in candidates:
        if file.name.partition(".")[0] in (entry.label, entry.file_name.partition(".")[0]) or (
            entry.sha256 and entry.sha256[:8] in file.name
        ):
            return entry
    if len(candidates) > 1 and file.is_file() and any(entry.sha256 for entry in candidates):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        for entry in candidates:
            if entry.sha256 and digest.startswith(entry.sha256):
                return entry
    return candidates[0]


def _list(releases: Sequence[Release], family: str) -> str:
    return ", ".join(
        f"{entry.width:g} at {entry.preprocessing.resolution} ({entry.label})"
        for entry in releases
        if entry.family == family
    )
