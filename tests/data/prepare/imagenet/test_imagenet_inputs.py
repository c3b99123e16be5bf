import pathlib

import numpy as np
import pytest
import tensorflow_datasets as tfds
import toy_imagenet as toy
from tensorflow_datasets.core.hashing import Hasher

from mobilenet.data.images import decode_with_simplejpeg
from mobilenet.data.prepare.imagenet import shards
from mobilenet.data.prepare.imagenet.labels import class_numbers, official_validation_labels
from mobilenet.data.prepare.imagenet.tfrecords import _masked_crc
from mobilenet.data.writer import DatasetExistsError


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> pathlib.Path:
    """A data_dir that was made from tars."""
    folder = tmp_path_factory.mktemp("prepared")
    toy.make_tars(folder / "in")
    toy.prepare(folder / "in", folder / "out")
    return folder / "out"


def files(data_dir: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (data_dir / toy.VERSION).iterdir()}


def test_tars(prepared):
    assert [path.name for path in (prepared / "imagenet2012").iterdir()] == ["5.1.0"]
    opened, records = toy.read(prepared, "train")
    assert opened.num_classes == 1000
    assert opened.class_names[230] == "n02105855"
    expected = {
        name: (data, toy.LABELS[class_name])
        for class_name, images in toy.train_images().items()
        for name, data in images.items()
    }
    stored = {record.file_name: (record.image, record.label) for record in records}
    assert len(records) == len(expected) == 27
    assert stored.keys() == expected.keys()
    for name in stored.keys() - {toy.CMYK, toy.PNG}:
        assert stored[name] == expected[name]
    assert (stored[toy.CMYK][1], stored[toy.PNG][1]) == (59, 230)

    _, records = toy.read(prepared, "validation")
    stored = {record.file_name: record for record in records}
    assert {name: record.image for name, record in stored.items()} == toy.validation_images()
    assert [stored[name].label for name in sorted(stored)] == toy.VALIDATION_LABELS


def test_cmyk_and_png_become_rgb_jpegs(prepared):
    images = {record.file_name: record.image for record in toy.read(prepared, "train")[1]}
    for name, seed in ((toy.CMYK, 100), (toy.PNG, 101)):
        data = images[name]
        assert data.startswith(b"\xff\xd8")
        assert data.find(b"Adobe") == -1
        pixels = decode_with_simplejpeg(data)
        assert pixels.shape == (32, 40, 3)
        difference = np.abs(pixels.astype(int) - toy.picture(seed))
        assert difference.mean() < 4


def test_the_order_is_that_of_tfds_hasher(prepared):
    for split in ("train", "validation"):
        hasher = Hasher(split)
        names = [record.file_name for record in toy.read(prepared, split)[1]]
        assert names == sorted(names, key=hasher.hash_key)
        assert names != sorted(names)


def test_stock_tfds_reads_it(prepared):
    builder = tfds.builder("imagenet2012", data_dir=prepared, file_format="array_record")
    for split in ("train", "validation"):
        source = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
        ours = toy.read(prepared, split)[1]
        assert len(source) == len(ours)
        for example, record in zip(source, ours, strict=True):
            assert (example["image"], example["label"]) == (record.image, record.label)
            assert example["file_name"].decode() == record.file_name
    decoded = builder.as_data_source("validation")[0]["image"]
    assert decoded.shape == (32, 40, 3)
    assert builder.info.features["label"].str2int("n02105855") == 230
    assert builder.info.supervised_keys == ("image", "label")
    assert builder.info.citation.startswith("@article{ILSVRC15")


@pytest.mark.parametrize("flat", [False, True])
def test_folders_give_the_same_files(prepared, tmp_path, flat):
    source = toy.make_folders(tmp_path / "in", flat=flat)
    (source / "train" / ".DS_Store").touch()
    (source / "train" / "n01440764" / "Thumbs.db").touch()
    summary = toy.prepare(source, tmp_path / "out")
    assert summary.num_examples == {"train": 27, "validation": 5}
    assert summary.converted == 2
    assert files(tmp_path / "out") == files(prepared)


def test_a_flat_folder_with_a_file_of_labels(tmp_path):
    source = toy.make_folders(tmp_path / "in", flat=True)
    for number, path in enumerate(sorted((source / "val").iterdir())):
        path.rename(path.with_name(f"image{number}.jpg"))
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(toy.VALIDATION_CLASSES[::-1]))
    toy.prepare(source, tmp_path / "out", val_labels=labels)
    stored = {r.file_name: r.label for r in toy.read(tmp_path / "out", "validation")[1]}
    assert stored == {f"image{i}.jpg": toy.VALIDATION_LABELS[::-1][i] for i in range(5)}


def test_tfrecords_give_the_same_records(prepared, tmp_path):
    source = toy.make_tfrecords(tmp_path / "in", prepared / toy.VERSION)
    for name in (".", "imagenet2012", "imagenet2012/5.1.0"):
        summary = toy.prepare(source / name, tmp_path / "out", overwrite=True)
        assert summary.num_examples == {"train": 27, "validation": 5}
        for split in ("train", "validation"):
            ours = toy.read_array_records(tmp_path / "out" / toy.VERSION, split)
            assert ours == toy.read_array_records(prepared / toy.VERSION, split)
    written = [path.name for path in (tmp_path / "out" / toy.VERSION).glob("*array_record*")]
    assert len(written) == 4
    assert toy.read(tmp_path / "out", "train")[1] == toy.read(prepared, "train")[1]


def test_several_files_and_processes_give_the_same_records(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(shards.shard_utils.ShardConfig, "calculate_number_shards", lambda *_: 4)
    toy.prepare(toy.make_tars(tmp_path / "in"), tmp_path / "out", num_workers=2)
    assert len(list((tmp_path / "out" / toy.VERSION).glob("*array_record*"))) == 8
    for split in ("train", "validation"):
        assert toy.read(tmp_path / "out", split)[1] == toy.read(prepared, split)[1]


def test_sharding_follows_tfds_rule():
    """The stock preparation of the real set has 1024 and 64 files."""
    for count, mean_size, expected in ((1_281_167, 110_000, 1024), (50_000, 130_000, 64)):
        number = shards.shard_utils.ShardConfig.calculate_number_shards(count * mean_size, count)
        assert number == expected


def test_labels_are_those_of_the_challenge():
    assert len(class_numbers()) == 1000
    assert {name: class_numbers()[name] for name in toy.LABELS} == toy.LABELS
    # 50 validation images of each class: arXiv 1409.0575, table 2.
    assert np.bincount(official_validation_labels()).tolist() == [50] * 1000
    assert list(official_validation_labels()[:5]) == toy.VALIDATION_LABELS


def test_the_checksum_is_crc32c():
    """Check value of CRC-32C, RFC 3720, appendix B.4: 32 bytes of zeros give aa 36 91 8a."""
    crc = int.from_bytes(bytes.fromhex("aa36918a"), "little")
    masked = ((crc >> 15 | crc << 17) & 0xFFFFFFFF) + 0xA282EAD8 & 0xFFFFFFFF
    assert _masked_crc(bytes(32)) == toy.masked_crc(bytes(32)) == masked


def test_an_existing_dataset_is_kept(prepared, tmp_path):
    before = files(prepared)
    with pytest.raises(DatasetExistsError, match="imagenet2012 exists already in"):
        toy.prepare(tmp_path / "not looked at", prepared)
    assert files(prepared) == before
