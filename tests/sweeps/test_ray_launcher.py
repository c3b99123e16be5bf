"""Sweeps on Ray: complete, failed, preempted, stopped, and with a node killed in the middle."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

from mobilenet.errors import UserError
from mobilenet.sweeps.ray_launcher import check_resources, launch_ray
from mobilenet.sweeps.ray_task import STARTED
from mobilenet.sweeps.sweep import Sweep
from tests.helpers.run_ends import final_state
from tests.helpers.states import assert_equal
from tests.helpers.waiting import wait_until
from tests.sweeps.find_trainers import find_trainers

_REPOSITORY = pathlib.Path(__file__).parents[2]
_LOOPBACK_ONLY = ("unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
_FEW_EVALUATIONS = "--base.evaluation.every_steps=100000"


@pytest.fixture(scope="module")
def ray_environment(tmp_path_factory):
    """Lets Ray write to folders of the test; skips where Ray is not installed."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
    # The names of sockets must be short.
    temporary = tempfile.mkdtemp(prefix="ray")
    yield os.environ | {
        "HOME": temporary,
        "RAY_TMPDIR": temporary,
        "XLA_FLAGS": "",
        "PYTHONPATH": str(_REPOSITORY),
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("compiled")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    shutil.rmtree(temporary, ignore_errors=True)


@pytest.fixture
def start(ray_environment, sweep_flags):
    """Starts scripts/sweep.py in a process group of its own, as a shell does."""
    started = []

    def start(workdir, rows, *flags, prefix=(), script=_REPOSITORY / "scripts" / "sweep.py"):
        process = subprocess.Popen(
            [*prefix, sys.executable, str(script), *sweep_flags(workdir, rows), *flags],
            env=ray_environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _attempts(workdir, run):
    return (workdir / "logs" / f"{run}.log").read_text().count(STARTED)


def test_what_is_lost_or_preempted_starts_again_and_what_fails_does_not(start, tmp_path):
    # scripts/sweep.py starts the train.py beside its folder.
    (tmp_path / "scripts").mkdir()
    script = shutil.copy(_REPOSITORY / "scripts" / "sweep.py", tmp_path / "scripts")
    shutil.copy(pathlib.Path(__file__).with_name("pretend_training.py"), tmp_path / "train.py")
    workdir = tmp_path / "runs"
    sweep = start(workdir, "seeds(5)", "--launcher=ray", "--retries=1", script=script)
    output, errors = sweep.communicate(timeout=600)
    assert (sweep.returncode, errors) == (1, "")
    lines = output.splitlines()
    assert "seed=1: failed: error: nothing works." in lines
    assert "seed=3: stopped: preempted, and no retry is left" in lines
    assert lines[-1] == f"3 complete, 1 failed, 1 stopped of 5 runs: {workdir}"
    assert [_attempts(workdir, f"seed={seed}") for seed in range(5)] == [1, 1, 2, 2, 2]
    assert find_trainers(workdir) == []


@pytest.mark.slow
def test_preempted_runs_go_on_and_ctrl_c_leaves_a_sweep_that_completes(start, tmp_path):
    workdir = tmp_path / "runs"
    length = ("--base.total_steps=60", "--base.checkpoint.every_steps=1", _FEW_EVALUATIONS)
    flags = ("--launcher=ray", "--cpus=0.5", *length)
    sweep = start(workdir, "seeds(2)", *flags)
    wait_until((workdir / "seed=0" / "checkpoints" / "1").exists, sweep)
    (trainer,) = find_trainers(workdir / "seed=0")
    os.kill(trainer, signal.SIGTERM)
    wait_until(lambda: _attempts(workdir, "seed=0") == 2, sweep)
    # As a terminal does: to the whole group.
    os.killpg(sweep.pid, signal.SIGINT)
    output, errors = sweep.communicate(timeout=120)
    assert (sweep.returncode, errors) == (143, "")
    assert "seed=0: stopped" in output.splitlines()
    assert find_trainers(workdir) == []
    assert _attempts(workdir, "seed=0") == 2

    sweep = start(workdir, "seeds(2)", *flags)
    output, errors = sweep.communicate(timeout=600)
    assert (sweep.returncode, errors) == (0, "")
    assert output.splitlines()[-1] == f"2 complete of 2 runs: {workdir}"
    assert _attempts(workdir, "seed=0") == 3


@pytest.mark.slow
def test_nothing_outlives_a_launcher_that_was_killed(start, tmp_path):
    workdir = tmp_path / "runs"
    endless = ("--base.total_steps=100000", _FEW_EVALUATIONS)
    sweep = start(workdir, "seeds(1)", "--launcher=ray", *endless)
    wait_until((workdir / "seed=0" / "checkpoints" / "2").exists, sweep)
    sweep.kill()
    sweep.communicate()
    wait_until(lambda: not find_trainers(workdir), seconds=30)


@pytest.mark.slow
@pytest.mark.usefixtures("one_device")
def test_a_sweep_that_loses_a_node_ends_with_the_bits_of_one_that_does_not(start, tmp_path):
    tried = subprocess.run([*_LOOPBACK_ONLY, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"this machine lets no user make a network: {tried.stderr.strip()}")
    length = ("--base.total_steps=20", "--base.checkpoint.every_steps=4", _FEW_EVALUATIONS)
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    sweep = start(undisturbed, "seeds(2)", *length)
    output, errors = sweep.communicate(timeout=900)
    assert sweep.returncode == 0, errors

    with_a_loss = (sys.executable, str(_REPOSITORY / "tests/sweeps/lose_a_node.py"), str(disturbed))
    prefix = (*_LOOPBACK_ONLY, *with_a_loss)
    cluster = start(disturbed, "seeds(2)", "--launcher=ray", *length, prefix=prefix)
    output, errors = cluster.communicate(timeout=900)
    assert cluster.returncode == 0, errors
    report = json.loads(output.splitlines()[-1])
    lost = report["lost"]
    assert report["status"] == 0, report["output"]
    assert report["survivors"] == report["orphans"] == []
    assert _attempts(disturbed, lost) == 2
    log = (disturbed / "logs" / f"{lost}.log").read_text()
    assert log.count("step 1/20 ") == 1, "It began anew instead of going on."
    for name in ("seed=0", "seed=1"):
        state = final_state(disturbed / name)
        assert int(state.step) == 20
        assert_equal(final_state(undisturbed / name), state)


def _launch(tmp_path, **changes):
    sweep = Sweep("rows.py", "base.py", {}, tmp_path, ())
    needs = {"CPU": 1.0, "GPU": 0.0, "TPU": 0.0}
    return launch_ray(
        sweep, ("train.py",), **{"address": None, "resources": needs, "retries": 0, **changes}
    )


def test_ray_is_optional(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"needs Ray: pip install -e \"\.\[ray\]\""):
        _launch(tmp_path)


@pytest.mark.parametrize("address", ["head", "head:port", "ray://head:10001", ":6379"])
def test_an_address_that_is_none_is_refused(tmp_path, address):
    with pytest.raises(UserError, match=f"--address={address}: give host:port"):
        _launch(tmp_path, address=address)


def test_an_address_where_nobody_listens_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"No Ray cluster answers at 127\.0\.0\.1:1 \(Connection"):
        _launch(tmp_path, address="127.0.0.1:1")


def test_resources_must_be_those_of_one_living_node():
    nodes = [
        {"Alive": True, "Resources": {"CPU": 8.0, "memory": 1e9}},
        {"Alive": True, "Resources": {"CPU": 2.0, "GPU": 4.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    check_resources(nodes, {"CPU": 8.0, "GPU": 0.0, "TPU": 0.0})
    check_resources(nodes, {"CPU": 2.0, "GPU": 4.0, "TPU": 0.0})
    with pytest.raises(
        UserError, match=r"needs 4 CPU, 1 GPU, and .* \(the most of a node: 8 CPU, 4 GPU, 0 TPU\)"
    ):
        check_resources(nodes, {"CPU": 4.0, "GPU": 1.0, "TPU": 0.0})
