"""Accuracy by class and confusions, against a plain count."""

import numpy as np

from mobilenet.tasks.classification.per_class import Confusions

_NAMES = ("ant", "bee", "cat", "dog")


def _summary():
    """Ant: 3 of 4 right, once a bee. Bee: 1 of 3, twice a cat. Cat: none right of 2. No dog."""
    confusions = Confusions(4)
    pairs = [(0, 0), (0, 0), (0, 0), (0, 1), (1, 1), (1, 2), (1, 2), (2, 3), (2, 0)]
    labels, predictions = (np.asarray(values, np.int32) for values in zip(*pairs, strict=True))
    for part in (slice(5), slice(5, None)):
        confusions.add(labels[part], predictions[part])
    return confusions.summarize(_NAMES)


def test_every_class_has_its_accuracy():
    rows = [
        (row["name"], row["right"], row["images"], row["top1"]) for row in _summary()["classes"]
    ]
    assert rows == [
        ("ant", 3, 4, 0.75),
        ("bee", 1, 3, 1 / 3),
        ("cat", 0, 2, 0.0),
        ("dog", 0, 0, None),
    ]


def test_the_most_frequent_confusions_come_first():
    rows = [
        (row["from"], row["to"], row["count"], row["share"]) for row in _summary()["confusions"]
    ]
    assert rows == [
        ("bee", "cat", 2, 2 / 3),
        ("ant", "bee", 1, 0.25),
        ("cat", "ant", 1, 0.5),
        ("cat", "dog", 1, 0.5),
    ]


def test_pairs_of_many_classes_are_kept_apart():
    confusions = Confusions(21_000)
    pair = np.asarray([20_999], np.int32), np.asarray([20_998], np.int32)
    confusions.add(*pair)
    (row,) = confusions.summarize([str(i) for i in range(21_000)])["confusions"]
    assert (row["from_label"], row["to_label"], row["count"]) == (20_999, 20_998, 1)
