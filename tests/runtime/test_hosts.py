"""Several processes train as one: the same bits, whoever is killed, and nobody waits for ever."""

import json
import pathlib
import signal
import socket
import sys

import numpy as np
import pytest

from mobilenet.errors import UserError
from mobilenet.runtime import hosts
from tests.helpers.run_ends import final_state, read_curve
from tests.helpers.states import assert_equal

_REPOSITORY = pathlib.Path(__file__).parents[2]
_HELPERS = _REPOSITORY / "tests" / "helpers"
# Of 72 images in batches of 16: an epoch is 4.5 steps.
_STEPS = 8
# What mixes and erases images depends on their places in the global batch.
_CONFIG = (
    f"--config.total_steps={_STEPS}",
    "--config.augment.cutmix_alpha=1.0",
    "--config.evaluation.batch_size=8",
)
_SECONDS = 600  # on a busy machine; a hang would be longer

pytestmark = pytest.mark.usefixtures("tiny_network")


@pytest.fixture(scope="module")
def start_hosts(start_warm_program, data_dir):
    """Starts a process for each host of a run and waits; returns status, output, errors of each.

    By the number of a process, `signals` has three words for interrupting.py, and `flags` what this
    process has for itself. `devices` is how many each process has, or a list of that. With `slurm`
    the variables of Slurm stand for the flags that describe the processes.
    """

    def start(workdir, count, *, devices=1, signals=None, flags=None, slurm=False):
        port = _free_port()
        processes = []
        for index in range(count):
            number = devices[index] if isinstance(devices, list) else devices
            description = (
                f"--coordinator_address=127.0.0.1:{port}",
                f"--num_processes={count}",
                f"--process_id={index}",
            )
            variables = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={number}"}
            if slurm:
                variables |= _slurm_step(port, count, index)
            words = (signals or {}).get(index, ())
            process = start_warm_program(
                _HELPERS / "tiny_program.py",
                str(_HELPERS / "interrupting.py" if words else _REPOSITORY / "train.py"),
                *words,
                f"--config={_HELPERS / 'small_config.py'}",
                f"--config.data.data_dir={data_dir}",
                f"--workdir={workdir}",
                *(description if count > 1 and not slurm else ()),
                *_CONFIG,
                *(flags or {}).get(index, ()),
                variables=variables,
            )
            processes.append(process)
        ends = [process.communicate(timeout=_SECONDS) for process in processes]
        codes = [process.returncode for process in processes]
        return [(code, *end) for code, end in zip(codes, ends, strict=True)]

    return start


@pytest.fixture(scope="module")
def unbroken(start_hosts, tmp_path_factory):
    """The run directory of one process with two devices, which nothing interrupted."""
    workdir = tmp_path_factory.mktemp("runs") / "unbroken"
    ((code, output, errors),) = start_hosts(workdir, 1, devices=2)
    assert code == 0, errors
    assert f"after {_STEPS} steps" in output
    return workdir


def _free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def _slurm_step(port, count, index):
    """What srun gives to a task, and where JAX is to listen."""
    return {
        "SLURM_JOB_ID": "7",
        "SLURM_STEP_NODELIST": "127.0.0.1",
        "SLURM_NTASKS": str(count),
        "SLURM_PROCID": str(index),
        "SLURM_LOCALID": str(index),
        "JAX_COORDINATOR_PORT": str(port),
        "JAX_COORDINATOR_BIND_ADDRESS": f"127.0.0.1:{port}",
    }


def _steps(workdir):
    return sorted(path.name for path in (workdir / "checkpoints").iterdir())


def _assert_same_end(workdir, unbroken):
    """The same bits in everything that training changes, and the same metrics of every step."""
    assert_equal(final_state(workdir), final_state(unbroken))
    assert read_curve(workdir) == read_curve(unbroken)
    results = [json.loads((path / "result.json").read_text()) for path in (workdir, unbroken)]
    assert len({result["loss"] for result in results}) == 1


def _assert_lost(end):
    """JAX ended the process because of another one."""
    code, _, errors = end
    assert code == -signal.SIGABRT, errors
    assert "most likely indicates that another task died" in errors


def test_a_host_is_killed_and_two_go_on_to_the_bits_of_one(start_hosts, unbroken, tmp_path):
    workdir = tmp_path / "broken"
    # In mid-epoch; the checkpoint of step 2 may be complete or not.
    first, second = start_hosts(workdir, 2, signals={1: ("SIGKILL", "step", "4")})
    assert second[0] == -signal.SIGKILL, second[2]
    _assert_lost(first)
    assert not (workdir / "result.json").exists()

    first, second = start_hosts(workdir, 2, slurm=True)
    assert (first[0], second[0]) == (0, 0), first[2] + second[2]
    assert f"after {_STEPS} steps" in first[1]
    # Only the first speaks.
    assert "top-1" not in second[1]
    assert second[2] == ""
    _assert_same_end(workdir, unbroken)
    starts = json.loads((workdir / "environment.json").read_text())["starts"]
    assert [start["devices"]["processes"] for start in starts] == [2, 2]


@pytest.mark.slow
def test_checkpoints_move_between_hosts_and_signals_stop_all_at_one_step(
    start_hosts, unbroken, tmp_path
):
    workdir = tmp_path / "moved"
    # A signal reaches the second process alone, in its third step: both stop after the fourth.
    ends = start_hosts(workdir, 2, signals={1: ("SIGTERM", "step", "3")})
    assert [end[0] for end in ends] == [143, 143], ends
    assert ends[0][2].splitlines()[-1] == (
        f"Stopped by a signal. Step 4 of {_STEPS} is saved in {workdir}: "
        "the same command goes on from there."
    )
    assert ends[1][2] == ""
    assert _steps(workdir)[-1] == "4"

    # From two processes to one with as many devices.
    ((code, _, errors),) = start_hosts(workdir, 1, devices=2, signals={0: ("SIGTERM", "step", "5")})
    assert code == 143, errors
    assert _steps(workdir)[-1] == "5"

    # And back. The process that writes is killed when all of a checkpoint is there but its name.
    first, second = start_hosts(workdir, 2, signals={0: ("SIGKILL", "save", "6")})
    assert first[0] == -signal.SIGKILL
    _assert_lost(second)
    assert "6" not in _steps(workdir)
    assert [name for name in _steps(workdir) if name.startswith("6.")]

    # An evaluation is given up by both.
    ends = start_hosts(workdir, 2, signals={1: ("SIGINT", "evaluation", "8")})
    assert [end[0] for end in ends] == [143, 143], ends
    assert not (workdir / "result.json").exists()
    ends = start_hosts(workdir, 2)
    assert [end[0] for end in ends] == [0, 0], ends
    assert all(name.isdecimal() for name in _steps(workdir))
    _assert_same_end(workdir, unbroken)


@pytest.mark.slow
def test_the_error_of_one_process_ends_all(start_hosts, tmp_path):
    flags = {1: (f"--config.data.data_dir={tmp_path}",)}
    first, second = start_hosts(tmp_path / "run", 2, flags=flags)
    assert second[0] == 1, second
    assert "error: The dataset stripes (config.data.name) is not in" in second[2]
    _assert_lost(first)


@pytest.mark.slow
def test_processes_with_different_numbers_of_devices_are_refused(start_hosts, tmp_path):
    ends = start_hosts(tmp_path / "run", 2, devices=[1, 2])
    # Either may find the other gone before it has found the reason itself.
    assert {code for code, _, _ in ends} <= {1, -signal.SIGABRT}
    assert any("process 0 has 1, process 1 has 2: start them on" in end[2] for end in ends), ends
    assert not (tmp_path / "run").exists()


def test_a_port_in_use_is_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for host in ("127.0.0.1", "somewhere.else"):
            with pytest.raises(UserError, match=f"cannot listen at port {port} .*another"):
                hosts._check_address(f"{host}:{port}", listens=True)
            hosts._check_address(f"{host}:{port}", listens=False)
    hosts._check_address(f"127.0.0.1:{port}", listens=True)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--num_processes=2"], "Cannot meet the other processes (coordinator_address should be"),
        (
            ["--coordinator_address=127.0.0.1:1", "--num_processes=2", "--process_id=2"],
            "Cannot meet the other processes (process_id and num_processes must be nonnegative",
        ),
        (["--coordinator_address=10.0.0.1"], "--coordinator_address=10.0.0.1 has no port"),
        (["--distributed=off", "--process_id=0"], "--distributed=off trains alone: leave out"),
    ],
)
def test_flags_that_cannot_work_are_one_sentence(run_script, tmp_path, flags, words):
    config = f"--config={_HELPERS / 'small_config.py'}"
    result = run_script("train.py", config, f"--workdir={tmp_path / 'run'}", *flags)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {words}")
    assert len(result.stderr.splitlines()) == 1


def test_an_error_of_ones_own_ends_with_1_after_the_time_of_news_of_a_loss(monkeypatch, capsys):
    waits = []
    monkeypatch.setattr(hosts, "_meet", lambda: True)
    monkeypatch.setattr(hosts, "_check_devices", lambda: None)
    monkeypatch.setattr("jax.process_count", lambda: 2)
    monkeypatch.setattr("time.sleep", waits.append)
    monkeypatch.setattr("os._exit", sys.exit)
    with pytest.raises(SystemExit) as end, hosts.joined_hosts():
        raise ZeroDivisionError("of ours")
    assert end.value.code == 1
    assert "ZeroDivisionError: of ours" in capsys.readouterr().err
    assert sum(waits) > hosts._HEARTBEAT_SECONDS


_IMPATIENT = """
import runpy, sys
from mobilenet.runtime import hosts
hosts._MEETING_SECONDS, hosts._PATIENCE_SECONDS = 4, 1
sys.argv[0] = "train.py"
runpy.run_path("train.py", run_name="__main__")
"""


@pytest.mark.slow
def test_a_process_whose_others_do_not_come_says_so_and_ends(start_program, tmp_path):
    script = tmp_path / "impatient.py"
    script.write_text(_IMPATIENT)
    process = start_program(
        script,
        f"--config={_HELPERS / 'small_config.py'}",
        f"--workdir={tmp_path / 'run'}",
        prefix=("env", *(f"{k}={v}" for k, v in _slurm_step(_free_port(), 2, 1).items())),
    )
    output, errors = process.communicate(timeout=_SECONDS)
    assert (process.returncode, output) == (-signal.SIGABRT, ""), errors
    assert errors.startswith("Waiting for the other processes, at most 4 s (--distributed=off")


@pytest.mark.slow
def test_two_processes_evaluate_as_one(start_program, unbroken):
    def evaluate(count, *flags):
        address = f"127.0.0.1:{_free_port()}"
        processes = [
            start_program(
                _HELPERS / "tiny_program.py",
                str(_REPOSITORY / "eval.py"),
                f"--workdir={unbroken}",
                f"--coordinator_address={address}",
                f"--num_processes={count}",
                f"--process_id={index}",
                *flags,
            )
            for index in range(count)
        ]
        ends = [process.communicate(timeout=_SECONDS) for process in processes]
        return [(p.returncode, *end) for p, end in zip(processes, ends, strict=True)]

    (alone,) = evaluate(1)
    first, second = evaluate(2)
    assert (alone[0], first[0], second[0]) == (0, 0, 0), (alone, first, second)
    assert "24 images of test" in first[1]
    assert "stripes" not in second[1]
    one, two = map(json.loads, (unbroken / "evaluations.jsonl").read_text().splitlines())
    assert (one["top1"], one["num_images"]) == (two["top1"], two["num_images"])
    np.testing.assert_allclose(one["loss"], two["loss"], rtol=1e-5)  # summed in another order

    tables = []
    for count in (1, 2):
        ends = evaluate(count, "--per_class")
        assert {code for code, _, _ in ends} == {0}, ends
        tables.append(json.loads((unbroken / "per_class_test.json").read_text()))
    alone, together = ({name: t[name] for name in ("classes", "confusions")} for t in tables)
    assert alone == together
