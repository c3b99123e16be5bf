"""The small run of tests/training."""

import pathlib
import sys

import pytest

TRAINING = pathlib.Path(__file__).parents[1] / "training"
sys.path.append(str(TRAINING))


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory) -> pathlib.Path:
    """Holds the dataset `stripes`."""
    import stripes

    folder = tmp_path_factory.mktemp("datasets")
    stripes.write_stripes(folder)
    return folder


@pytest.fixture
def start_soak(start_warm_program, data_dir):
    """Starts scripts/soak.py on a tiny run."""

    def start(workdir: pathlib.Path, *flags: str):
        return start_warm_program(
            pathlib.Path(__file__).with_name("tiny_soak.py"),
            f"--config={TRAINING / 'small_config.py'}",
            f"--config.data.data_dir={data_dir}",
            f"--workdir={workdir}",
            *flags,
        )

    return start
