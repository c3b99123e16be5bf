"""The steps of a config compiled: here for eight CPU devices, and for TPUs where libtpu is."""

import json
import pathlib

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from mobilenet import config as base
from mobilenet.ahead.chips import CHIPS
from mobilenet.ahead.compile import compile_steps, set_batch_per_chip
from mobilenet.ahead.topology import Slice, has_libtpu
from mobilenet.errors import UserError
from mobilenet.factory import create_model
from mobilenet.networks.architecture import V2_ROWS
from mobilenet.networks.functional import split_model

_REPOSITORY = pathlib.Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def cache_as_before():
    """`compile_steps` switches the cache of compiled programs off, for later tests too."""
    before = jax.config.values["jax_enable_compilation_cache"]
    yield
    jax.config.update("jax_enable_compilation_cache", before)
    compilation_cache.reset_cache()


@pytest.fixture
def config(monkeypatch):
    """The stem and two blocks on 16 x 16 pixels."""
    monkeypatch.setattr("mobilenet.networks.architecture.V2_ROWS", (V2_ROWS[0], V2_ROWS[2]))
    config = base.get_config()
    config.total_steps = 10
    config.compute_dtype = "float32"
    config.model.width = 0.25
    config.model.resolution = 16
    config.data.fake_classes = 3
    return config


@pytest.fixture
def cpus():
    return Slice("v5e:2x4", CHIPS["v5e"], jax.devices())


def test_a_step_with_statistics_of_a_device_sums_over_devices_at_most_twice(config, cpus):
    set_batch_per_chip(config, 4, chips=8)
    assert config.batch_size == config.evaluation.batch_size == 32
    config.model.norm_group_size = 4
    found = compile_steps(config, cpus, ("train",), lambda _: None)["train"]
    assert found.images == 4
    assert found.collectives.keys() == {"all-reduce"}
    sums = found.collectives["all-reduce"]
    assert sums.count <= 2
    # The gradient of each parameter, new statistics, and a few metrics.
    model = create_model("mobilenet_v2", width=0.25, resolution=16, num_classes=3)
    values = sum(leaf.size for leaf in jax.tree.leaves(split_model(model)[1:]))
    assert 0 <= sums.bytes - 4 * values <= 4 * 8


@pytest.mark.parametrize(
    ("error", "message"),
    [
        # As libtpu 0.0.42.1 words them.
        (
            "XLA:TPU compile permanent error. Ran out of memory in memory space hbm. "
            "Used 20.75G of 15.75G hbm. Exceeded hbm capacity by 5.00G.",
            "XLA wants 20.75G of 15.75G HBM. Take fewer images a chip.",
        ),
        (
            "Ran out of memory on HBM, the total memory required for HLO temporaries (59.12G) "
            "exceeds available HBM (15.75G).",
            "XLA wants 59.12G of 15.75G HBM. Take fewer images a chip.",
        ),
        (
            "XLA:TPU compile permanent error. Ran out of memory in memory space vmem. "
            "Used 18.42M of 16.00M vmem. Exceeded vmem capacity by 2.42M.",
            "XLA wants 18.42M of 16.00M of the chip's own memory. "
            "Set config.fused_expansions=False.",
        ),
        (
            "No room.\nMore.",
            "RESOURCE_EXHAUSTED: No room. Take fewer images a chip.",
        ),
    ],
)
def test_a_step_that_does_not_fit(config, cpus, monkeypatch, error, message):
    def compile_too_much(_lowered):
        raise jax.errors.JaxRuntimeError(f"RESOURCE_EXHAUSTED: {error}")

    monkeypatch.setattr(jax.stages.Lowered, "compile", compile_too_much)
    with pytest.raises(UserError) as raised:
        compile_steps(config, cpus, ("eval",), lambda _: None)
    images = config.evaluation.batch_size // 8
    assert str(raised.value) == (
        f"The step 'eval' with {images} images a chip does not fit v5e:2x4: {message}"
    )


@pytest.mark.slow
@pytest.mark.skipif(not has_libtpu(), reason="libtpu is not installed: pip install -e '.[tpu]'")
def test_the_command_compiles_for_a_slice(start_program):
    command = start_program(
        _REPOSITORY / "scripts" / "compile_ahead.py",
        f"--config={_REPOSITORY / 'configs' / 'imagenet_v1.py'}",
        "--topology=v5e:2x2",
        "--batch_per_chip=8",
        "--config.model.width=0.25",
        "--config.model.resolution=32",
        "--config.model.depth=shallow",
        "--config.model.norm_group_size=8",
        "--baseline=flax",
        "--format=json",
    )
    out, err = command.communicate(timeout=3000)
    assert command.returncode == 0, err
    report = json.loads(out)
    assert report["chips"] == 4
    assert report["steps"].keys() == {"train", "eval", "flax"}
    train = report["steps"]["train"]
    assert train["hbm"]["fits"]
    assert train["collectives"]["all-reduce"]["count"] <= 2
    assert report["train_over_flax"]["flops"] < 1.2
