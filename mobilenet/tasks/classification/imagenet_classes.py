"""Images whose classes are ImageNet's, or some of them, for networks that know all of them."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from mobilenet.data.crops import Crop
from mobilenet.data.datasets import Split
from mobilenet.data.pipeline import Target
from mobilenet.data.prepare.imagenet.labels import class_numbers
from mobilenet.data.records import Record
from mobilenet.errors import UserError
from mobilenet.tasks.classification.classification import label_of
from mobilenet.weights.pretrained import IMAGENET_CLASSES

# WordNet's numbers, by which ImageNet calls its classes.
_WNID = re.compile(r"n\d{8}")


def imagenet_target(split: Split) -> Target:
    """Returns the `Task.target` that gives the images of a split ImageNet's labels.

    Raises:
      UserError: the classes have other names.
    """
    names = split.class_names
    numbers = class_numbers()
    if all(_WNID.fullmatch(name) for name in names):
        if unknown := [name for name in names if name not in numbers]:
            raise UserError(
                f"The class {unknown[0]} of {split.name} is none of the 1000 of ImageNet 2012, "
                "which the weights know: leave it out of the dataset."
            )
        labels = np.array([numbers[name] for name in names], np.int32)
        is_whole = np.array_equal(labels, np.arange(IMAGENET_CLASSES))
        return label_of if is_whole else _OtherLabels(labels)
    if sorted(names) == sorted(map(str, range(IMAGENET_CLASSES))):
        # ImageNet-V2 is published so; sorted as text, folder 100 comes behind folder 10.
        labels = np.array(list(map(int, names)), np.int32)
        return label_of if np.array_equal(labels, np.arange(len(labels))) else _OtherLabels(labels)
    raise UserError(
        f"The classes of {split.name} ({', '.join(names[:3])}, ...) are not ImageNet's, which the "
        "weights know: name them by their WordNet numbers, such as n01440764, or all 1000 of them "
        "by their labels, 0 to 999."
    )


@dataclasses.dataclass(frozen=True)
class _OtherLabels:
    """As `label_of`, with ImageNet's labels for those of a split."""

    labels: np.ndarray

    def __call__(self, split: Split, record: Record | None, crop: Crop | None) -> Mapping[str, Any]:
        found = dict(label_of(split, record, crop))
        found["labels"] = self.labels[found["labels"]]
        if "label_sets" in found:
            of_all = np.zeros(IMAGENET_CLASSES, bool)
            of_all[self.labels] = found["label_sets"]
            found["label_sets"] = of_all
        return found
