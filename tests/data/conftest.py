"""A small dataset, and one with a corrupt image."""

import pathlib
import subprocess
import sys
from collections.abc import Callable

import ml_collections
import pytest

from mobilenet.config import get_config
from tests.helpers import toy_dataset


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory) -> pathlib.Path:
    """Holds `toy` (clean) and `damaged`, in which record 4 of both splits is no image."""
    folder = tmp_path_factory.mktemp("datasets")
    splits = {"train": toy_dataset.TRAIN, "test": toy_dataset.TEST}
    images = {
        split: [toy_dataset.png(toy_dataset.constant(i)) for i in range(n)]
        for split, n in splits.items()
    }
    toy_dataset.write(folder, "toy", images)
    for files in images.values():
        files[4] = b"no image"
    toy_dataset.write(folder, "damaged", images)
    return folder


@pytest.fixture
def config(data_dir) -> ml_collections.ConfigDict:
    """`config.data` for the toy dataset, whole images at their own resolution."""
    data = get_config().data
    data.update(name="toy", data_dir=str(data_dir), train_crop="none", eval_crop="center")
    data.eval_fraction = 1.0
    return data


@pytest.fixture(scope="session")
def run_code() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a program, given as text, in a process of its own to its end."""

    def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return run
