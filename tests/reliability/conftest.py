"""The small run of tests/training."""

import pathlib

import pytest

HELPERS = pathlib.Path(__file__).parents[1] / "helpers"


@pytest.fixture
def start_soak(start_warm_program, data_dir):
    """Starts scripts/soak.py on a tiny run."""

    def start(workdir: pathlib.Path, *flags: str):
        return start_warm_program(
            pathlib.Path(__file__).with_name("tiny_soak.py"),
            f"--config={HELPERS / 'small_config.py'}",
            f"--config.data.data_dir={data_dir}",
            f"--workdir={workdir}",
            *flags,
        )

    return start
