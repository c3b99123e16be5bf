import dataclasses
import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds

from mobilenet.data import writer
from mobilenet.data.datasets import (
    DatasetFormatError,
    DatasetNotFoundError,
    check_is_complete,
    has_names,
    list_splits,
    open_split,
)
from mobilenet.errors import ConfigError
from tests.helpers.toy_dataset import TRAIN, constant, png, write


def test_a_split_describes_itself(config):
    split = open_split(config, "train")
    assert (split.name, split.split, split.num_examples) == ("toy", "train", TRAIN)
    assert (split.num_classes, split.class_names) == (3, ("a", "b", "c"))
    assert len(split.source) == TRAIN
    record = split.source[7]
    assert (record.image, record.label, record.file_name) == (png(constant(7)), 1, "7.png")


@pytest.mark.parametrize("index", [-1, TRAIN])
def test_a_record_out_of_range(config, index):
    with pytest.raises(IndexError, match=f"Record {index} is out of range: there are {TRAIN}"):
        open_split(config, "train").source[index]


@pytest.mark.parametrize("split", ["train", "train[:5]", "train[7:-3]", "train[50%:]+test", "test"])
def test_records_are_those_of_tfds(config, tmp_path, monkeypatch, split):
    monkeypatch.setattr(writer, "_SHARD_BYTES", 6)
    images = [png(constant(i)) for i in range(TRAIN)]
    with writer.new_dataset_directory("sharded", tmp_path) as directory:
        target = writer.DatasetWriter(directory, "sharded", ["a", "b", "c"])
        for name, number in (("train", TRAIN), ("test", 4)):
            examples = [writer.Example(images[i], i % 3, f"é{i}.png") for i in range(number)]
            target.write_split(name, examples, num_examples=number, num_bytes=number)
        target.write_metadata(description="In several files.")
    assert len(list(tmp_path.glob("*/*/*train.array_record*"))) == 4
    config.update(name="sharded", data_dir=str(tmp_path))
    source = open_split(config, split).source
    builder = tfds.builder_from_directory(tmp_path / "sharded" / "1.0.0")
    decoders = {"image": tfds.decode.SkipDecoding()}
    want = builder.as_data_source(split, decoders=decoders)
    assert len(source) == len(want)
    for i, example in enumerate(want):
        assert source[i].image == example["image"]
        assert source[i].label == example["label"]
        assert source[i].file_name.encode() == example["file_name"]


def test_tfds_finds_and_decodes_what_we_write(data_dir):
    builder = tfds.builder("toy", data_dir=data_dir)
    example = builder.as_data_source("train")[3]
    np.testing.assert_array_equal(example["image"], constant(3))
    assert builder.info.features["label"].int2str(int(example["label"])) == "a"
    assert builder.info.splits["train"].num_examples == TRAIN


def test_the_highest_version_is_read_unless_one_is_named(config, tmp_path):
    sizes = {"1.0.0": 3, "1.9.0": 4, "1.10.0": 5}
    for version, size in sizes.items():
        write(tmp_path / version, "toy", {"train": [png(constant(0))] * size})
        shutil.move(tmp_path / version / "toy" / "1.0.0", tmp_path / "toy" / version)
    config.data_dir = str(tmp_path)
    assert open_split(config, "train").num_examples == 5
    for version, size in sizes.items():
        config.name = f"toy:{version}"
        assert open_split(config, "train").num_examples == size


def test_without_a_data_dir_tfds_default_is_used(config, data_dir, monkeypatch):
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(data_dir))
    config.data_dir = None
    assert open_split(config, "train").num_examples == TRAIN


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (("validation", "train[", ""), r"The dataset toy in .* has no split .* train, test, or"),
        (("train[:0]", "train[:1%]", "train[5:5]"), "has no examples in the split"),
    ],
)
def test_an_unknown_or_empty_split_is_refused(config, splits, message):
    for split in splits:
        with pytest.raises(ConfigError, match=message):
            open_split(config, split)


def test_an_unknown_dataset_is_refused_with_the_ways_to_get_it(config):
    config.name = "no_such_dataset"
    with pytest.raises(DatasetNotFoundError) as info:
        open_split(config, "train")
    message = str(info.value)
    assert message.startswith(
        f"The dataset no_such_dataset (config.data.name) is not in {config.data_dir}"
    )
    assert "scripts/prepare_images.py --input=DIR_OR_TAR --name=no_such_dataset" in message
    assert "\n" not in message


class Shapes(tfds.core.GeneratorBasedBuilder):
    """Registers itself as `shapes`, like the builders of TFDS."""

    VERSION = tfds.core.Version("2.0.0")
    failure = None

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(12, 10, 3)),
            "label": tfds.features.ClassLabel(names=["x", "y"]),
            "id": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        del dl_manager
        if self.failure:
            raise self.failure
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i in range(6):
            yield i, {"image": png(constant(i)), "label": i % 2, "id": f"shape_{i}"}


def test_tfds_prepares_a_missing_dataset(config, tmp_path):
    config.update(name="shapes", data_dir=str(tmp_path))
    for _ in range(2):
        split = open_split(config, "train")
        assert split.num_examples == 6
        assert {split.source[i].file_name for i in range(6)} == {f"shape_{i}" for i in range(6)}
    assert (tmp_path / "shapes" / "2.0.0").is_dir()


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (
            ConnectionError("the network is down.\nSecond line"),
            "ConnectionError: the network is down.*scripts/prepare_images.py",
        ),
        # TFDS puts what it did before the cause.
        (
            ModuleNotFoundError("Failed to encode\nNo module named 'tensorflow'"),
            r"\(No module named 'tensorflow'\): .* `tfds build",
        ),
    ],
)
def test_a_failed_preparation_says_why_and_what_else_to_do(
    config, tmp_path, monkeypatch, failure, message
):
    monkeypatch.setattr(Shapes, "failure", failure)
    config.update(name="shapes", data_dir=str(tmp_path))
    with pytest.raises(DatasetNotFoundError, match=message) as info:
        open_split(config, "train")
    assert "\n" not in str(info.value)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "features.json",
            '"label"',
            '"category"',
            "has the features category, file_name, image; ",
        ),
        (
            "dataset_info.json",
            "array_record",
            "tfrecord",
            "stored as tfrecord, which has no random access",
        ),
    ],
)
def test_a_dataset_that_we_cannot_train_on_is_refused(
    config, data_dir, tmp_path, file, old, new, message
):
    shutil.copytree(data_dir / "toy", tmp_path / "toy")
    path = tmp_path / "toy" / "1.0.0" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    config.data_dir = str(tmp_path)
    with pytest.raises(DatasetFormatError, match=message):
        open_split(config, "train")


@pytest.mark.parametrize("size", [TRAIN, 72, 150])
def test_named_splits_are_parts_of_train_that_make_it_whole(config, tmp_path, size):
    write(tmp_path, "toy", {"train": [png(constant(i % 50)) for i in range(size)]})
    config.data_dir = str(tmp_path)
    last = round(size * 0.01)
    rest = open_split(config, "train_without_minival")
    assert (rest.split, rest.num_examples) == ("train_without_minival", size - last)
    assert rest.source[0].file_name == "0.png"
    if last == 0:
        with pytest.raises(ConfigError, match="no examples in the split 'minival'"):
            open_split(config, "minival")
        return
    minival = open_split(config, "minival")
    names = [minival.source[i].file_name for i in range(minival.num_examples)]
    assert names == [f"{i}.png" for i in range(size - last, size)]


def test_a_datasets_own_split_comes_before_a_named_one(config, tmp_path):
    images = [png(constant(i)) for i in range(4)]
    write(tmp_path, "toy", {"train": images, "minival": images[:3]})
    config.data_dir = str(tmp_path)
    assert open_split(config, "minival").num_examples == 3


def test_the_default_config_of_imagenet_v2_is_found(config, tmp_path):
    write(tmp_path, "toy", {"test": [png(constant(i)) for i in range(3)]})
    (tmp_path / "imagenet_v2").mkdir()
    shutil.move(tmp_path / "toy", tmp_path / "imagenet_v2" / "matched-frequency")
    config.update(name="imagenet_v2", data_dir=str(tmp_path))
    assert open_split(config, "test").num_examples == 3
    assert list_splits(config, prepare=False) == ("test",)


def test_numbers_are_no_names():
    assert has_names(["n01440764", "1"])
    assert not has_names(["0", "1", "2"])


@pytest.mark.parametrize(
    ("name", "split", "size", "complete"),
    [
        ("imagenet2012", "validation", 49_999, False),
        ("imagenet2012:5.1.0", "validation", 50_000, True),
        ("imagenet2012", "validation[:10]", 10, True),
        ("imagenet_v2", "test", 9_999, False),
        ("toy", "validation", 5, True),
    ],
)
def test_a_known_split_must_be_complete(config, name, split, size, complete):
    opened = dataclasses.replace(
        open_split(config, "test"), name=name, split=split, num_examples=size
    )
    if complete:
        check_is_complete(opened)
        return
    with pytest.raises(DatasetFormatError, match=rf"has {size:,} images here and \d+,000 as publ"):
        check_is_complete(opened)
