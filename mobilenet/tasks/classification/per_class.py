"""Accuracy of every class, and which classes are taken for which."""

import collections
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

# The file would have up to num_classes**2 of them.
_MOST_CONFUSIONS = 100


class Confusions:
    """Counts pairs of true and predicted class, image by image.

    A dictionary of the pairs that occur: a full matrix of 21,000 classes would have 3.5 GB.
    """

    def __init__(self, num_classes: int):
        self._num_classes = num_classes
        self._counts: collections.Counter[int] = collections.Counter()

    def add(
        self,
        labels: Int[np.ndarray, " n"],
        predictions: Int[np.ndarray, " n"],
    ) -> None:
        """Counts images."""
        pairs = labels.astype(np.int64) * self._num_classes + predictions
        self._counts.update(pairs.tolist())

    def summarize(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Returns plain values for JSON.

        `classes` holds one entry a class, in the order of the labels: `label`, `name`, `images`,
        `right` and `top1` (a share of 1, None without images). `confusions` holds the pairs that
        occur most, the most frequent first: `from` (the true class) and `to` (the predicted one) by
        name, `from_label`, `to_label`, `count`, and `share` of the true class's images.
        """
        images, right = [0] * self._num_classes, [0] * self._num_classes
        wrong = []
        for pair, count in self._counts.items():
            label, prediction = divmod(pair, self._num_classes)
            images[label] += count
            if label == prediction:
                right[label] += count
            else:
                wrong.append((-count, label, prediction))
        return {
            "classes": [
                {
                    "label": label,
                    "name": name,
                    "images": images[label],
                    "right": right[label],
                    "top1": right[label] / images[label] if images[label] else None,
                }
                for label, name in enumerate(class_names)
            ],
            "confusions": [
                {
                    "from": class_names[label],
                    "to": class_names[prediction],
                    "from_label": label,
                    "to_label": prediction,
                    "count": -negative,
                    "share": -negative / images[label],
                }
                for negative, label, prediction in sorted(wrong)[:_MOST_CONFUSIONS]
            ],
        }
