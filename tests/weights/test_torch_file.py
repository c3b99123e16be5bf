"""PyTorch's files, read without PyTorch; nothing in them runs."""

import os
import pathlib
import pickle

import numpy as np
import pytest

from mobilenet.weights.damage import WeightsFileError
from mobilenet.weights.files import read_tensors
from tests.helpers.torch_files import View, archive, legacy, pickled, torch_files


class _Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("form", [archive, legacy])
def test_a_pickle_that_calls_anything_else_is_refused_and_does_nothing(tmp_path, form):
    touched = tmp_path / "touched"
    path = tmp_path / "evil.pth"
    path.write_bytes(form(pickle.dumps({"a": _Call(os.system, f"touch {touched}")}, 2)))
    with pytest.raises(WeightsFileError, match=r"evil.pth is refused: it would call \w+\.system"):
        read_tensors(path)
    assert not touched.exists()


@pytest.mark.parametrize(
    "function", [eval, getattr, pathlib.Path, np.load], ids=lambda f: f.__name__
)
def test_no_other_function_is_called_either(tmp_path, function):
    path = tmp_path / "evil.pth"
    path.write_bytes(archive(pickle.dumps({"a": _Call(function, "1")}, 2)))
    with pytest.raises(WeightsFileError, match="is refused"):
        read_tensors(path)


_VALUES = np.arange(12, dtype=np.float32).tobytes()


def test_strides_and_offsets_are_followed(tmp_path):
    path = tmp_path / "good.pth"
    path.write_bytes(archive(pickled({"w": View((2, 3), (1, 2), 12, offset=2)}), [_VALUES]))
    found = read_tensors(path)
    np.testing.assert_array_equal(found["w"], [[2, 4, 6], [3, 5, 7]])


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (11, (2,), (1,)),
        (-1, (2,), (1,)),
        (0, (3,), (-1,)),
        (0, (2**40,), (0,)),
        (0, (4, 4), (1, 1)),
        (0, (2, 2), (1,)),
    ],
)
def test_a_tensor_outside_of_its_storage_is_refused(tmp_path, offset, size, stride):
    path = tmp_path / "bad.pth"
    path.write_bytes(archive(pickled({"w": View(size, stride, 12, offset)}), [_VALUES]))
    with pytest.raises(WeightsFileError, match="cannot be read as a file of PyTorch"):
        read_tensors(path)


def test_a_storage_of_another_size_is_refused(tmp_path):
    path = tmp_path / "bad.pth"
    path.write_bytes(archive(pickled({"w": View((12,), (1,), 12)}), [_VALUES[:-4]]))
    with pytest.raises(WeightsFileError, match="cut short"):
        read_tensors(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"PK\x03\x04 and more", b"<html>"])
def test_something_else_is_refused(tmp_path, content):
    path = tmp_path / "other.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsFileError, match="cannot be read as a file of PyTorch"):
        read_tensors(path)


def test_a_file_without_tensors_is_refused(tmp_path):
    path = tmp_path / "empty.pth"
    path.write_bytes(archive(pickle.dumps({"epoch": 3}, 2)))
    with pytest.raises(WeightsFileError, match="holds no tensors by name"):
        read_tensors(path)


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch, which writes the files, is absent")


def _state(torch):
    base = torch.arange(24.0).reshape(2, 3, 4)
    return {
        "plain": base,
        "view": base[:, 1].t(),
        "half": base[0].half(),
        "brain": base[0].bfloat16(),
        "whole": torch.tensor(7),
        "empty": torch.zeros(0, 3),
    }


@pytest.mark.parametrize("is_zip", [True, False])
def test_what_pytorch_writes_is_read_as_it_is(tmp_path, torch, is_zip):
    state = _state(torch)
    path = tmp_path / "real.pth"
    torch.save(state, path, _use_new_zipfile_serialization=is_zip)
    found = read_tensors(path)
    assert set(found) == set(state)
    for name, value in state.items():
        assert found[name].shape == tuple(value.shape)
        np.testing.assert_array_equal(found[name].astype(np.float64), value.double().numpy())


def test_wrappers_and_prefixes_of_training_are_taken_off(tmp_path, torch):
    path = tmp_path / "training.pth"
    state = {"module.a": torch.ones(2), "module.b": torch.nn.Parameter(torch.zeros(1))}
    torch.save({"epoch": 3, "state_dict": state}, path)
    assert set(read_tensors(path)) == {"a", "b"}


@pytest.mark.parametrize("data", torch_files({"a": np.arange(24.0, dtype="f4"), "b": np.int64(7)}))
def test_a_file_that_is_cut_anywhere_is_refused(tmp_path, data):
    path = tmp_path / "cut.pth"
    for size in range(1, len(data), max(len(data) // 40, 1)):
        path.write_bytes(data[:size])
        with pytest.raises(WeightsFileError):
            read_tensors(path)
