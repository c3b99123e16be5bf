"""A sweep's parts: a base config on a small dataset, and runs as their files hold them."""

import pathlib

import pytest

_REPOSITORY = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="session")
def base_file() -> pathlib.Path:
    """A config of runs of seconds."""
    return _REPOSITORY / "tests" / "helpers" / "small_config.py"
