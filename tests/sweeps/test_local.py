"""scripts/sweep.py on real runs of seconds: complete, failed, started again, stopped."""

import json
import pathlib
import shutil
import signal

import pytest

from mobilenet.runs.finished import read_runs
from tests.helpers.waiting import wait_until

_ROOT = pathlib.Path(__file__).parents[2]
_SHORT = "--base.total_steps=4"


def _starts(directory):
    return len(json.loads((directory / "environment.json").read_text())["starts"])


@pytest.mark.slow
def test_a_sweep_completes_what_it_can_and_runs_only_the_rest_again(tmp_path, start_sweep):
    workdir = tmp_path / "runs"
    rows = "chain([{'data.train_split': 'absent'}], seeds(2))"
    sweep = start_sweep(workdir, rows, _SHORT, "--jobs=2")
    output, errors = sweep.communicate(timeout=300)
    assert sweep.returncode == 1, errors
    lines = output.splitlines()
    (failed,) = [line for line in lines if line.startswith("train_split=absent: failed")]
    assert "failed: error: The dataset stripes" in failed
    assert "has no split 'absent'" in failed
    assert lines[-1] == f"2 complete, 1 failed of 3 runs: {workdir}"
    runs = read_runs([workdir])
    assert [(run.name, run.config["seed"]) for run in runs] == [("seed=0", 0), ("seed=1", 1)]
    assert all(run.result["step"] == 4 for run in runs)

    sweep = start_sweep(workdir, "chain([{'data.train_split': 'test'}], seeds(3))", _SHORT)
    output, errors = sweep.communicate(timeout=300)
    assert sweep.returncode == 0, errors
    assert len(read_runs([workdir])) == 4
    assert [_starts(workdir / f"seed={seed}") for seed in (0, 1, 2)] == [1, 1, 1]


@pytest.fixture
def tiny_sweep(tmp_path):
    """A copy of scripts/sweep.py whose runs have the network of the fixture `tiny_network`."""
    (tmp_path / "scripts").mkdir()
    words = [str(_ROOT / name) for name in ("tests/helpers/tiny_program.py", "train.py")]
    (tmp_path / "train.py").write_text(
        f"import runpy, sys\nsys.argv[:1] = {words}\n"
        f"runpy.run_path({words[0]!r}, run_name='__main__')\n"
    )
    return pathlib.Path(shutil.copy(_ROOT / "scripts" / "sweep.py", tmp_path / "scripts"))


def test_ctrl_c_saves_what_runs_and_the_same_command_goes_on(tmp_path, start_sweep, tiny_sweep):
    workdir = tmp_path / "runs"
    long = ("--base.total_steps=100000", "--base.evaluation.every_steps=100000")
    sweep = start_sweep(workdir, "seeds(2)", *long, script=tiny_sweep)
    metrics = workdir / "seed=0" / "metrics.jsonl"
    wait_until(lambda: metrics.exists() and metrics.read_text().count("\n") > 3, sweep)
    sweep.send_signal(signal.SIGINT)
    output, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 143
    assert output.splitlines()[-1] == f"1 waiting, 1 stopped of 2 runs: {workdir}"
    saved = [path.name for path in (workdir / "seed=0" / "checkpoints").iterdir()]
    assert max(map(int, filter(str.isdigit, saved))) >= 3
    assert "Stopped by a signal" in (workdir / "logs" / "seed=0.log").read_text()
    assert not (workdir / "seed=1").exists()


def test_printed_commands_are_those_of_runs_that_are_not_complete(tmp_path, start_sweep):
    workdir = tmp_path / "runs"
    (workdir / "seed=1").mkdir(parents=True)
    (workdir / "seed=1" / "result.json").write_text("{}")
    sweep = start_sweep(workdir, "seeds(3)", "--launcher=print")
    output, errors = sweep.communicate(timeout=60)
    assert sweep.returncode == 0, errors
    assert [line.split("--workdir=")[1].split()[0] for line in output.splitlines()] == [
        str(workdir / "seed=0"),
        str(workdir / "seed=2"),
    ]
    assert not (workdir / "sweep.json").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--launcher=print", "--jobs=2"), "--jobs means nothing to --launcher=print: leave it"),
        (("--jobs=100000",), "--jobs=100000: this process has "),
    ],
)
def test_jobs_that_cannot_be_are_refused(tmp_path, start_sweep, flags, message):
    sweep = start_sweep(tmp_path / "runs", "seeds(1)", *flags)
    _, errors = sweep.communicate(timeout=60)
    assert sweep.returncode == 1
    assert errors.startswith(f"error: {message}")
