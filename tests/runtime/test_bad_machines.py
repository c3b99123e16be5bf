"""A full disk and an unwritable directory end a run with one sentence and exit status 1."""

import shutil
import subprocess

import pytest

from mobilenet.runs.checkpoint import Checkpoints
from mobilenet.runs.metrics_file import read_metrics


def _only_error(process):
    """The sentence that the process ended with, and all it wrote to stderr."""
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 1, errors
    (line,) = (line for line in errors.splitlines() if line.startswith("error: "))
    return line, errors


# Mounts a file system of $1 at $2, runs the rest and copies what the run left to $2.left.
_ON_SMALL_DISK = """
mount -t tmpfs -o "$1" tmpfs "$2" && disk="$2" && shift 2 && "$@"
code=$?; cp -r "$disk" "$disk.left"; exit $code
"""


@pytest.fixture
def on_small_disk(tmp_path):
    """The command before a command that lets it see a small disk at tmp_path/run."""
    disk = tmp_path / "run"
    disk.mkdir()
    if not shutil.which("unshare"):
        pytest.skip("unshare, of util-linux, is absent")

    def prefix(options):
        command = ("unshare", "-rm", "sh", "-c", _ON_SMALL_DISK, "sh", options, str(disk))
        tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
        shutil.rmtree(f"{disk}.left", ignore_errors=True)
        if tried.returncode:
            pytest.skip(f"this machine lets no user mount a file system: {tried.stderr.strip()}")
        return command

    return prefix


@pytest.mark.slow
def test_a_disk_that_fills_up_is_one_sentence_and_old_checkpoints_stay(
    start_training, on_small_disk, tmp_path
):
    # A checkpoint is nearly 2 MB, and 3 MB are asked for, so the third finds no room.
    run = tmp_path / "run"
    process = start_training(run, prefix=on_small_disk("size=5500k"))
    error, errors = _only_error(process)
    assert error == (
        f"error: Cannot write a checkpoint (complete ones are unharmed) to {run}/checkpoints: "
        "the disk is full: free some space and start again."
    )
    assert errors.splitlines()[-1] == error
    assert "Traceback" not in errors
    left = Checkpoints(tmp_path / "run.left", keep=1, scores={}, read_only=True)
    assert left.steps() == [2, 4]
    left.close()
    # With room it goes on, and what the failed save left disappears.
    process = start_training(tmp_path / "run.left")
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "after 10 steps" in output
    names = {path.name for path in (tmp_path / "run.left" / "checkpoints").iterdir()}
    assert names - {"4"} == {"6", "8", "10"}  # 4 stays where its top-1 is the best


def test_a_disk_that_fills_up_with_metrics_is_one_sentence(start_training, on_small_disk, tmp_path):
    # Room for the config and some lines, and no checkpoint before a million steps.
    run = tmp_path / "run"
    flags = ("--config.total_steps=1000000", "--config.checkpoint.every_steps=1000000")
    flags += ("--config.evaluation.every_steps=1000000",)
    process = start_training(run, *flags, prefix=on_small_disk("size=40k"), is_tiny=True)
    error, errors = _only_error(process)
    assert error == (
        f"error: Cannot write {run}/metrics.jsonl: the disk is full: free some space and start "
        "again."
    )
    assert "Traceback" not in errors
    # Whole lines up to there, and perhaps the piece of one, which is passed over.
    steps = [record["step"] for record in read_metrics(tmp_path / "run.left")]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) > 10


@pytest.mark.slow
def test_a_file_that_may_not_grow_is_one_sentence(start_training, tmp_path):
    # The limit hits Orbax's background threads, as a disk that fills up meanwhile.
    limited = ("sh", "-c", 'ulimit -f 300; exec "$@"', "sh")
    process = start_training(tmp_path / "run", prefix=limited)
    error, errors = _only_error(process)
    assert error == (
        f"error: Cannot write a checkpoint (complete ones are unharmed) to {tmp_path}/run/"
        "checkpoints: File too large."
    )
    # Its C++ part may still say that an event loop is closed; nothing of Python's logs remains.
    assert "tensorstore" not in errors
    assert "orbax" not in errors


def test_a_read_only_file_system_is_one_sentence(start_training, on_small_disk, tmp_path):
    process = start_training(tmp_path / "run", prefix=on_small_disk("ro"), is_tiny=True)
    error, errors = _only_error(process)
    assert errors.splitlines()[-1] == error
    assert error == (
        f"error: Cannot write to the run directory {tmp_path / 'run'}: the file system is "
        "read-only: choose another directory."
    )
