"""No damaged file does anything but to be read or to be refused in a sentence."""

import random

import deadly_readers
import numpy as np
import pytest

from mobilenet.weights.files import read_tensors
from tests.reliability.fuzz import Finding, fuzz, make_input, try_input
from tests.reliability.mutations import mutate
from tests.reliability.readers import all_readers
from tests.reliability.samples import TENSORS, weight_samples


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    return all_readers(tmp_path_factory.mktemp("inputs"))


def test_damaged_inputs_are_read_or_refused(readers):
    findings = {}
    for number in range(25 * len(readers)):
        name, data = make_input(readers, 0, number)
        _, found = try_input(readers[name], data)
        if found:
            findings[number] = name, found
    assert not findings


def test_whole_files_are_read(readers):
    for name, reader in readers.items():
        for sample in reader.samples:
            assert try_input(reader, sample) == (True, None), name


@pytest.mark.parametrize("ending", [".pth", ".safetensors", ".h5", ".npz", ".tar", ".tgz"])
def test_files_of_weights_hold_the_tensors(tmp_path, ending):
    for sample in weight_samples()[ending]:
        path = tmp_path / f"x{ending}"
        path.write_bytes(sample)
        found = read_tensors(path)
        assert found.keys() == TENSORS.keys()
        for name, value in TENSORS.items():
            np.testing.assert_array_equal(found[name], value)
            assert found[name].dtype == value.dtype


def test_an_input_follows_from_seed_and_number(readers):
    inputs = [make_input(readers, 3, number) for number in range(40)]
    assert [make_input(readers, 3, number) for number in range(40)] == inputs
    assert [name for name, _ in inputs[: len(readers)]] == list(readers)
    assert len({data for _, data in inputs}) == 40


def test_damage_changes_most_files():
    whole = bytes(range(256))
    mutated = [mutate(whole, random.Random(seed)) for seed in range(200)]
    assert sum(data != whole for data in mutated) > 180
    lengths = {len(data) for data in mutated}
    assert min(lengths) < 256 < max(lengths)
    assert mutate(b"", random.Random(0)) == b""


def test_every_kind_of_fault_is_found_and_its_input_saved(tmp_path, monkeypatch):
    monkeypatch.setenv(deadly_readers.MARK, str(tmp_path / "has_died"))
    report = fuzz(
        0, seconds=0.5, save_to=tmp_path / "found", make_readers=deadly_readers.make_readers
    )
    first = {finding.reader: finding for finding in reversed(report.findings)}
    assert first["stumbles"] == Finding(2, "stumbles", "KeyError: 'a fault'")
    assert first["grows"].what.startswith("MemoryError")
    assert first["dies"] == Finding(4, "dies", "killed by SIGSEGV")
    # It goes on behind the input that it died of.
    assert report.tried["reads"] > 1
    assert report.read["reads"] == report.tried["reads"]
    assert report.read["refuses"] == report.read["stumbles"] == 0
    names = {path.name for path in (tmp_path / "found").iterdir()}
    assert {"stumbles-0-2", "grows-0-3", "dies-0-4"} <= names
    assert "refuses" not in first
    lines = str(report).splitlines()
    assert lines[0].split() == ["reader", "inputs", "read", "findings"]
    assert lines[-1].split()[-1] == f"{len(report.findings):,}"
