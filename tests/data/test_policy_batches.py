"""A policy in the pipeline: after the crop, with numbers of its own, whoever reads."""

import itertools

import numpy as np
import pytest

from mobilenet.data.datasets import open_split
from mobilenet.data.pipeline import train_batches
from mobilenet.data.policy import RandAugment, TrivialAugmentWide
from mobilenet.data.stream import NUMBERS, ShuffledStream
from mobilenet.tasks.classification.classification import label_of


@pytest.fixture
def batches(config):
    config.update(train_crop="pad_crop", crop_padding=3)

    def take(count=4, **options):
        split = open_split(config, "train")
        iterator = train_batches(split, config, (8, 8), 8, 3, label_of, **options)
        taken = list(itertools.islice(iterator, count))
        iterator.close()
        return taken

    return take


@pytest.mark.parametrize("policy", [TrivialAugmentWide(), RandAugment(3, 15)])
def test_it_follows_the_crop(batches, policy):
    plain, changed = batches(), batches(policy=policy)
    # The numbers of a row do not depend on the size of the dataset.
    rows = ShuffledStream(1, 3, policy.numbers).rows(range(32))
    numbers = iter(row.numbers for row in rows)
    for before, after in zip(plain, changed, strict=True):
        np.testing.assert_array_equal(before["labels"], after["labels"])
        for image, result in zip(before["images"], after["images"], strict=True):
            np.testing.assert_array_equal(policy(image, next(numbers)[NUMBERS:]), result)


def test_a_corrupt_image_stays_black(batches, config):
    config.update(name="damaged", on_corrupt="skip")
    # An operation such as solarize would make white of it.
    seen = [
        image
        for batch in batches(8, policy=RandAugment(2, 30))
        for image, mask in zip(batch["images"], batch["mask"], strict=True)
        if not mask
    ]
    assert seen
    assert not np.any(seen)
