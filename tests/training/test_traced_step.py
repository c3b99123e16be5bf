"""A training step whose trace is kept: when it is traced, under which name, and its bits."""

import functools
import os
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh

import mobilenet
from mobilenet.data.datasets import open_split
from mobilenet.runs.state import TrainState
from mobilenet.runtime import mesh as meshes
from mobilenet.runtime.compilation_cache import traced_programs_folder
from mobilenet.training import traced_step
from mobilenet.training.experiment import build_experiment
from mobilenet.training.traced_step import TracedStep
from tests.helpers.small_config import get_config


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """The folder of traced programs; as yet there is none."""
    folder = tmp_path / "cache" / "traced"
    monkeypatch.setattr(traced_step, "traced_programs_folder", lambda: folder)
    return folder


@pytest.fixture(autouse=True)
def package(monkeypatch, tmp_path):
    """The folder of a package of one file that stands for this one, whose files may be edited."""
    package = tmp_path / "mobilenet"
    (package / "deep").mkdir(parents=True)
    (package / "deep" / "layers.py").write_text("x = 1")
    monkeypatch.setattr(mobilenet, "__file__", str(package / "__init__.py"))
    monkeypatch.setattr(mobilenet, "IMPORTED_AT", time.time() + 1000)
    return package


@pytest.fixture
def traces():
    """A list of all traces."""
    return []


def _start(traces, *facts, factor=3.0, images=4):
    """What a start of a run does: builds the step and takes it once."""

    def step(state, batch):
        traces.append(factor)
        params = jax.tree.map(lambda x: x * factor + batch["images"].mean(), state.params)
        return TrainState(state.step + 1, params, {}, (), None), {"loss": params["a"].sum()}

    params = {"a": jnp.array([1.0, 2.0]), "b": jnp.array(0.5)}
    state = TrainState(jnp.zeros((), jnp.int32), params, {}, (), None)
    traced = TracedStep(step, functools.partial(jax.jit, donate_argnums=0), *facts)
    after, metrics = traced(state, {"images": jnp.ones((images,))})
    assert state.params["a"].is_deleted(), "the state was not donated"
    return after, metrics


def test_only_the_first_start_traces(folder, traces):
    first, second = _start(traces), _start(traces)
    assert len(traces) == 1
    for state, metrics in (first, second):
        assert int(state.step) == 1
        np.testing.assert_array_equal(state.params["a"], [4.0, 7.0])
        assert float(state.params["b"]) == 2.5
        assert float(metrics["loss"]) == 11.0
    assert [path.suffix for path in folder.iterdir()] == [".stablehlo"]


@pytest.mark.parametrize("damage", [b"", b"x" * 40, None], ids=["empty", "other", "one bit"])
def test_a_damaged_file_is_written_anew(folder, traces, damage):
    _start(traces)
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    path.write_bytes(flipped if damage is None else damage)
    state, _ = _start(traces)
    assert len(traces) == 2
    np.testing.assert_array_equal(state.params["a"], [4.0, 7.0])
    _start(traces)
    assert len(traces) == 2
    assert list(folder.iterdir()) == [path]


@pytest.mark.usefixtures("folder")
def test_what_a_program_depends_on_gives_it_another_name(traces, monkeypatch):
    _start(traces, "config")
    _start(traces, "another config")
    _start(traces, "config", images=8)
    jax.config.update("jax_default_matmul_precision", "highest")
    try:
        _start(traces, "config")
    finally:
        jax.config.update("jax_default_matmul_precision", None)
    monkeypatch.setattr(jax, "__version__", "0.0.1")
    _start(traces, "config")
    assert len(traces) == 5


@pytest.mark.usefixtures("folder")
def test_changed_source_is_traced(traces, package):
    for text, expected in (("x = 1", 1), ("x = 1", 1), ("x = 2", 2), ("x = 1", 2)):
        (package / "deep" / "layers.py").write_text(text)
        _start(traces)
        assert len(traces) == expected


def test_source_edited_under_the_process_is_not_that_of_its_trace(
    folder, traces, package, monkeypatch
):
    monkeypatch.setattr(mobilenet, "IMPORTED_AT", time.time() - 1000)
    # As a copy that takes the times along.
    os.utime(package / "deep" / "layers.py", (0, 0))
    _start(traces)
    assert not folder.exists()


def test_a_folder_that_cannot_be_written_is_done_without(folder, traces):
    folder.parent.parent.mkdir(exist_ok=True)
    folder.parent.write_text("a file where the folder should be")
    for _ in range(2):
        state, _ = _start(traces)
        np.testing.assert_array_equal(state.params["a"], [4.0, 7.0])
    assert len(traces) == 2


def test_several_processes_keep_nothing(folder, traces, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    _start(traces)
    assert not folder.exists()


@pytest.mark.usefixtures("tiny_network", "cached_compilation")
def test_bits_on_two_devices_are_those_of_the_step_without(folder, data_dir, monkeypatch):
    config = get_config()
    config.data.data_dir = str(data_dir)
    config.model.dropout = 0.5
    split = open_split(config.data, "train")
    mesh = Mesh(jax.devices()[:2], ("data",), axis_types=(AxisType.Auto,))
    random = np.random.default_rng(0)
    batch = {
        "images": random.integers(0, 256, (16, 16, 16, 3), np.uint8),
        "labels": random.integers(0, split.num_classes, 16, np.int32),
        "mask": np.ones(16, np.float32),
    }

    def start():
        experiment = build_experiment(config, split, mesh)
        # An address would be another one in each process.
        assert " at 0x" not in " ".join(map(str, experiment.train_step._facts))
        state = experiment.initial_state
        for _ in range(2):
            state, metrics = experiment.train_step(state, meshes.to_devices(batch, mesh))
        assert jax.tree.leaves(state)[1].sharding.is_equivalent_to(meshes.replicated(mesh), 4)
        return jax.device_get((state, metrics))

    first = start()
    files = list(folder.iterdir())
    second = start()
    assert list(folder.iterdir()) == files
    assert len(files) == 1
    monkeypatch.setattr(traced_step, "traced_programs_folder", lambda: None)
    without = start()
    jax.tree.map(np.testing.assert_array_equal, first, second)
    jax.tree.map(np.testing.assert_array_equal, first, without)
    assert first[0].ema is not None


@pytest.mark.usefixtures("cached_compilation")
def test_traced_programs_lie_with_compiled_ones(compiled_programs):
    assert traced_programs_folder() == compiled_programs / "traced"
    for setting, value in (
        ("jax_enable_compilation_cache", False),
        ("jax_compilation_cache_dir", None),
        ("jax_compilation_cache_dir", "gs://bucket/folder"),
    ):
        before = jax.config.values[setting]
        jax.config.update(setting, value)
        try:
            assert traced_programs_folder() is None
        finally:
            jax.config.update(setting, before)
