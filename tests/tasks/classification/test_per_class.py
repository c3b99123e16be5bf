"""Accuracy by class and confusions, against a plain count."""

import numpy as np

from mobilenet.tasks.classification.per_class import Confusions


def test_classes_have_their_accuracy_and_the_most_frequent_confusions_come_first():
    confusions = Confusions(4)
    # Ant: 3 of 4 right, once a bee. Bee: 1 of 3, twice a cat. Cat: none right of 2. No dog.
    pairs = [(0, 0), (0, 0), (0, 0), (0, 1), (1, 1), (1, 2), (1, 2), (2, 3), (2, 0)]
    labels, predictions = (np.asarray(values, np.int32) for values in zip(*pairs, strict=True))
    for part in (slice(5), slice(5, None)):
        confusions.add(labels[part], predictions[part])
    summary = confusions.summarize(("ant", "bee", "cat", "dog"))
    assert [tuple(row.values()) for row in summary["classes"]] == [
        (0, "ant", 4, 3, 0.75),
        (1, "bee", 3, 1, 1 / 3),
        (2, "cat", 2, 0, 0.0),
        (3, "dog", 0, 0, None),
    ]
    assert [tuple(row.values()) for row in summary["confusions"]] == [
        ("bee", "cat", 1, 2, 2, 2 / 3),
        ("ant", "bee", 0, 1, 1, 0.25),
        ("cat", "ant", 2, 0, 1, 0.5),
        ("cat", "dog", 2, 3, 1, 0.5),
    ]


def test_pairs_of_many_classes_are_kept_apart():
    confusions = Confusions(21_000)
    pair = np.asarray([20_999], np.int32), np.asarray([20_998], np.int32)
    confusions.add(*pair)
    (row,) = confusions.summarize([str(i) for i in range(21_000)])["confusions"]
    assert (row["from_label"], row["to_label"], row["count"]) == (20_999, 20_998, 1)
