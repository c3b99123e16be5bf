"""Which of ImageNet's classes those of a dataset are."""

import dataclasses

import numpy as np
import pytest

from mobilenet.data.datasets import Split
from mobilenet.data.prepare.imagenet.labels import class_numbers
from mobilenet.data.records import Record
from mobilenet.errors import UserError
from mobilenet.tasks.classification.classification import label_of
from mobilenet.tasks.classification.imagenet_classes import imagenet_target

_WNIDS = tuple(class_numbers())


def _split(names):
    return Split("some", "test", 1, len(names), tuple(names), source=[None])


def test_classes_are_found_by_their_wordnet_numbers():
    # n01440764 is the tench, class 0; n03584829 the iron, class 606 (ImageNet's sorted list).
    split = _split(["n03584829", "n01440764"])
    target = imagenet_target(split)
    found = [target(split, Record(b"", label, None), None)["labels"] for label in (0, 1)]
    assert found == [606, 0]
    assert imagenet_target(_split(_WNIDS)) is label_of
    assert imagenet_target(_split([str(number) for number in range(1000)])) is label_of


def test_numbers_from_0_to_999_are_the_labels_in_any_order():
    # ImageNet-V2 is published so: sorted as text, label 2 would be folder 10.
    split = _split(sorted(map(str, range(1000))))
    target = imagenet_target(split)
    found = [target(split, Record(b"", label, None), None)["labels"] for label in (0, 2, 999)]
    assert found == [0, 10, 999]


def test_sets_of_a_subset_are_sets_of_all_classes():
    split = dataclasses.replace(_split(["n03584829", "n01440764"]), has_label_sets=True)
    found = imagenet_target(split)(split, Record(b"", 1, None, (0,)), None)
    assert np.flatnonzero(found["label_sets"]).tolist() == [606]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["n01440764", "n00000001"], "The class n00000001 of some is none of the 1000"),
        (["cat", "dog"], r"The classes of some \(cat, dog, ...\) are not ImageNet's"),
        ([f"class {number}" for number in range(1000)], "are not ImageNet's, .*labels, 0 to 999"),
    ],
)
def test_other_classes_are_refused(names, message):
    with pytest.raises(UserError, match=message):
        imagenet_target(_split(names))
