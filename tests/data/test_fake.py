"""Fake data: of the right shapes and sizes, and the same every time."""

import numpy as np
import pytest

from mobilenet.data.datasets import open_split
from mobilenet.data.pipeline import eval_batches, train_batches
from mobilenet.errors import ConfigError
from mobilenet.tasks.classification.classification import label_of


@pytest.fixture
def fake(config):
    config.update(name="no_such_dataset", data_dir="/nowhere", fake=True)
    config.update(fake_classes=7, fake_examples=20)
    return config


@pytest.mark.parametrize(
    ("name", "split", "size", "classes"),
    [
        ("imagenet2012", "train", 1_281_167, 1000),
        ("imagenet2012", "validation", 50_000, 1000),
        ("imagenet2012:5.1.0", "train[:1000]+validation", 51_000, 1000),
        ("imagenet2012", "minival", 12_812, 1000),
        ("imagenet_v2/matched-frequency", "test", 10_000, 1000),
        ("cifar10", "test", 10_000, 10),
    ],
)
def test_a_known_dataset_has_its_size(config, name, split, size, classes):
    config.update(name=name, fake=True)
    opened = open_split(config, split)
    assert (opened.num_examples, opened.num_classes) == (size, classes)
    assert len(opened.source) == size
    assert len(opened.class_names) == classes


def test_sizes_can_be_set(fake):
    assert open_split(fake, "odd_name[:15]").num_examples == 15
    assert open_split(fake, "train").num_classes == 7
    fake.update(name="imagenet2012", fake_classes=None)
    opened = open_split(fake, "train")
    assert (opened.num_examples, opened.num_classes) == (20, 1000)


@pytest.mark.parametrize("key", ["fake_classes", "fake_examples"])
def test_an_unknown_dataset_needs_its_size(fake, key):
    fake[key] = None
    with pytest.raises(ConfigError, match=rf"no_such_dataset is not known .* config\.data\.{key}:"):
        open_split(fake, "train")
    fake[key] = 0
    with pytest.raises(ConfigError, match=rf"config\.data\.{key} is 0: it must be at least 1"):
        open_split(fake, "train")


def test_a_split_that_a_known_dataset_does_not_have_is_refused(config):
    config.update(name="imagenet2012", fake=True)
    with pytest.raises(
        ConfigError, match=r"no split 'valid' .* may be train, validation, or a slice"
    ):
        open_split(config, "valid")


def _train(fake, *, count=4, start_step=0, seed=3):
    batches = train_batches(
        open_split(fake, "train"), fake, (12, 12), 8, seed, label_of, start_step=start_step
    )
    taken = [next(batches) for _ in range(count)]
    batches.close()
    return taken


def test_batches_look_like_real_ones_and_repeat(fake):
    batches = _train(fake)
    for batch in batches:
        assert batch["images"].shape == (8, 12, 12, 3)
        assert (batch["images"].dtype, batch["labels"].dtype) == (np.uint8, np.int32)
        assert batch["mask"].all()
        assert set(batch["labels"]) <= set(range(7))
    images = np.stack([image for batch in batches for image in batch["images"]])
    # Uniform noise: mean 127.5, standard deviation 73.9.
    assert abs(images.mean() - 127.5) < 3
    assert abs(images.std() - 73.9) < 2
    # An epoch has 20 images, all different; then they come again in another order.
    distinct = np.unique(images.reshape(len(images), -1), axis=0)
    assert len(distinct) == 20
    for mine, again in zip(batches[2:], _train(fake, count=2, start_step=2), strict=True):
        for name in mine:
            np.testing.assert_array_equal(mine[name], again[name])
    assert not np.array_equal(batches[0]["images"], _train(fake, count=1, seed=4)[0]["images"])


def test_an_evaluation_pads(fake):
    split = open_split(fake, "test")
    batches = list(eval_batches(split, fake, (12, 12), 16, label_of))
    assert [batch["mask"].sum() for batch in batches] == [16, 4]
    assert not batches[1]["images"][4:].any()


def test_an_image_may_be_larger_than_the_noise(fake):
    out = np.empty((900, 900, 3), np.uint8)
    open_split(fake, "train").source.draw(5, out)
    assert abs(out[-100:].mean() - 127.5) < 1
    with pytest.raises(IndexError, match="Record 20 is out of range"):
        open_split(fake, "train").source[20]
