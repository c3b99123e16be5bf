"""Strictness for all tests: 8 CPU devices, no implicit promotion, annotations checked."""

import os
import pathlib

# Before JAX starts: one host with several devices, as a TPU host has.
os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
)
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jaxtyping
import pytest
from absl import flags

# An int passes where a float is annotated, as PEP 484 says.
jaxtyping.install_import_hook(
    "mobilenet", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
).__enter__()
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# Grain's worker processes read absl flags, which only an absl main parses.
if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()


@pytest.fixture(scope="session")
def test_data() -> pathlib.Path:
    """The folder of real images and pretrained weights that some tests need."""
    named = os.environ.get("MOBILENET_TEST_DATA")
    folder = pathlib.Path(named) if named else pathlib.Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real test data is absent: set MOBILENET_TEST_DATA to its folder")
    return folder
