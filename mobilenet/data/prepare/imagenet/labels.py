"""The classes of ImageNet 2012, and the labels of its validation images, as TFDS has them."""

import functools
import os
import pathlib
import re
from collections.abc import Iterable

import tensorflow_datasets as tfds

from mobilenet.data.prepare.names import some
from mobilenet.errors import UserError

_TFDS_FOLDER = "datasets/imagenet2012"
_VALIDATION_NAME = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")
# The wnid that the official names of training images begin with, such as n01440764_10026.JPEG.
_TRAINING_NAME = re.compile(r"(n\d{8})_\d+\.JPEG")


class ImagenetError(UserError, ValueError):
    """The input is not ImageNet 2012 in a form that we read, or it is damaged."""


@functools.cache
def class_numbers() -> dict[str, int]:
    """The 1000 classes, such as n01440764, in the order of their labels."""
    return {name: label for label, name in enumerate(tfds_text("labels.txt").split())}


@functools.cache
def official_validation_labels() -> tuple[int, ...]:
    """The labels of ILSVRC2012_val_00000001.JPEG to ILSVRC2012_val_00050000.JPEG."""
    return tuple(class_numbers()[name] for name in tfds_text("validation_labels.txt").split())


def check_classes(where: str, found: Iterable[str], *, allow_partial: bool) -> None:
    """Refuses names that are no classes and, unless `allow_partial` is set, missing classes.

    Args:
      where: the folder or tar, for the message.
      found: the names of the classes there.
      allow_partial: some classes may be missing.

    Raises:
      ImagenetError: as above.
    """
    found = set(found)
    if unknown := sorted(found - class_numbers().keys()):
        raise ImagenetError(
            f"{where} holds {some(unknown)}, no class of ImageNet 2012: the 1000 classes have "
            "names such as n01440764; remove or rename the others."
        )
    missing = sorted(class_numbers().keys() - found)
    if missing and not allow_partial:
        raise ImagenetError(
            f"{where} lacks {len(missing)} of the 1000 classes ({some(missing)}): complete it, or "
            "pass --allow_partial to prepare what is there."
        )


def check_class_of(where: str, name: str, label: int) -> None:
    """Refuses an image whose official name says that it belongs to another class.

    Raises:
      ImagenetError: `name` in `where` is an image of a class that is not `label`.
    """
    official = official_label(name)
    if official is not None and official != label:
        classes = list(class_numbers())
        raise ImagenetError(
            f"{where} holds {name}, which is an image of the class {classes[official]}, not "
            f"{classes[label]}: move it, or unpack the official tars again."
        )


def official_label(name: str) -> int | None:
    """The label that follows from an official file name; None for another name."""
    if match := _TRAINING_NAME.fullmatch(name):
        return class_numbers().get(match[1])
    if match := _VALIDATION_NAME.fullmatch(name):
        labels = official_validation_labels()
        number = int(match[1])
        return labels[number - 1] if 1 <= number <= len(labels) else None
    return None


def validation_labels(
    where: str, names: Iterable[str], labels_file: str | os.PathLike[str] | None
) -> dict[str, int]:
    """The label of each image of a validation set that has no class folders.

    Args:
      where: the folder or tar, for messages.
      names: the images' file names.
      labels_file: one class (n01440764) a line, in the order of the sorted file names. None: all
        names must be official (ILSVRC2012_val_00000001.JPEG), and TFDS's list gives the labels.

    Raises:
      ImagenetError: a name is not official, or `labels_file` does not fit.
    """
    names = sorted(names)
    if labels_file is None:
        labels = {
            name: label
            for name in names
            if _VALIDATION_NAME.fullmatch(name)
            if (label := official_label(name)) is not None
        }
        if others := [name for name in names if name not in labels]:
            raise ImagenetError(
                f"{where} holds {some(others)}, which is no official name such as "
                "ILSVRC2012_val_00000001.JPEG: give the labels with --val_labels=FILE, one class "
                "(n01440764) a line in the order of the sorted file names."
            )
        return labels
    path = pathlib.Path(labels_file).expanduser()
    if not path.is_file():
        raise ImagenetError(f"There is no file {path}: correct --val_labels.")
    try:
        lines = path.read_text().split()
    except UnicodeDecodeError as error:
        raise ImagenetError(f"{path} (--val_labels) is no text file: name another.") from error
    for number, line in enumerate(lines, start=1):
        if line not in class_numbers():
            raise ImagenetError(
                f"{path} (--val_labels) has {line[:40]!r} as label {number}, no class of ImageNet "
                "2012: write one class such as n01440764 a line."
            )
    if len(lines) != len(names):
        raise ImagenetError(
            f"{path} (--val_labels) has {len(lines)} labels for the {len(names)} images of "
            f"{where}: it needs one class a line in the order of the sorted file names."
        )
    return {name: class_numbers()[line] for name, line in zip(names, lines, strict=True)}


def tfds_text(name: str) -> str:
    """A file of TFDS's builder: its README.md, CITATIONS.bib, or a list of labels."""
    return tfds.core.tfds_path(f"{_TFDS_FOLDER}/{name}").read_text()
