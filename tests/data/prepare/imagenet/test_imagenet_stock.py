"""The dataset against the one that TFDS's own builder makes with TensorFlow."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest
import toy_imagenet as toy
from tensorflow_datasets.proto import tf_example_pb2

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed"
    ),
]

STOCK = """
import sys
import tensorflow_datasets as tfds

for file_format in ("array_record", "tfrecord"):
    builder = tfds.builder(
        "imagenet2012", data_dir=f"{sys.argv[2]}/{file_format}", file_format=file_format
    )
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=sys.argv[1])
    )
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> pathlib.Path:
    """A folder with the tars (`in`), TFDS's datasets (`array_record`, `tfrecord`) and ours."""
    folder = tmp_path_factory.mktemp("stock")
    toy.make_tars(folder / "in")
    subprocess.run(
        [sys.executable, "-c", STOCK, folder / "in", folder],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=True,
        timeout=600,
    )
    toy.prepare(folder / "in", folder / "ours")
    return folder


def test_records_and_their_order_are_equal(made):
    for split, count in (("train", 27), ("validation", 5)):
        _, theirs = toy.read(made / "array_record", split)
        _, ours = toy.read(made / "ours", split)
        assert len(theirs) == count
        assert [(r.file_name, r.label) for r in ours] == [(r.file_name, r.label) for r in theirs]
        # The CMYK JPEG and the PNG too, for which there is no promise.
        assert [r.image for r in ours] == [r.image for r in theirs]


def test_messages_are_equal(made):
    """Not their bytes: TFDS writes the features in an order that differs between processes."""
    ours, theirs = (
        [
            tf_example_pb2.Example.FromString(record)
            for record in toy.read_array_records(made / name / toy.VERSION, "validation")
        ]
        for name in ("ours", "array_record")
    )
    assert len(ours) == 5
    assert ours == theirs


def test_the_files_and_the_metadata_are_equal(made):
    theirs, ours = made / "array_record" / toy.VERSION, made / "ours" / toy.VERSION
    assert {path.name for path in ours.iterdir()} == {path.name for path in theirs.iterdir()}
    for name in ("features.json", "label.labels.txt"):
        assert (ours / name).read_text() == (theirs / name).read_text()
    our, their = (json.loads((path / "dataset_info.json").read_text()) for path in (ours, theirs))
    for key in ("name", "version", "fileFormat", "supervisedKeys", "citation", "description"):
        assert our[key] == their[key], key
    assert [split["shardLengths"] for split in our["splits"]] == [["27"], ["5"]]
    assert [split["shardLengths"] for split in their["splits"]] == [["27"], ["5"]]


def test_its_tfrecords_give_its_array_records(made, tmp_path):
    toy.prepare(made / "tfrecord", tmp_path)
    for split in ("train", "validation"):
        expected = toy.read_array_records(made / "array_record" / toy.VERSION, split)
        assert toy.read_array_records(tmp_path / toy.VERSION, split) == expected
