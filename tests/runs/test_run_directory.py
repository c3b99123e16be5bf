"""A run directory reads back what it was given, and keeps out other configs and processes."""

import contextlib
import errno
import hashlib
import json
import pathlib
import re
import subprocess
import sys

import pytest

from mobilenet import config as base
from mobilenet.errors import UserError
from mobilenet.runs.run_directory import (
    FREE_KEYS,
    is_free,
    read_class_names,
    read_config,
    start_run,
    write_result,
)

_CLASSES = ("cat", "dog")


def _config(**overrides):
    config = base.get_config()
    config.update_from_flattened_dict({"total_epochs": 2.0, **overrides})
    return config


def _start(workdir, **overrides):
    with start_run(workdir, _config(**overrides), _CLASSES):
        pass


def _start_with(workdir, **keys):
    """Starts with a config whose model has other keys; None takes one away."""
    config = _config()
    with config.unlocked():
        for key, value in keys.items():
            if value is None:
                del config.model[key]
            else:
                config.model[key] = value
    with start_run(workdir, config, _CLASSES):
        pass


def test_the_config_reads_back_equal(tmp_path):
    config = _config()
    with start_run(tmp_path / "a" / "b", config, _CLASSES) as directory:
        assert directory == tmp_path / "a" / "b"
        again = read_config(directory)
    assert read_class_names(tmp_path / "a" / "b") == _CLASSES
    assert again == config
    assert again.is_locked
    assert again.data.crop_aspect == (0.75, 4 / 3)
    assert isinstance(again.data.crop_aspect, tuple)
    assert again.model.dropout is None


def test_references_are_written_as_their_values(tmp_path):
    config = base.get_config()
    config.schedule.learning_rate = config.get_ref("batch_size").to_float() * 0.5 / 256
    config.batch_size = 512
    with start_run(tmp_path, config, _CLASSES):
        assert read_config(tmp_path).schedule.learning_rate == 1.0


def test_every_start_is_remembered(tmp_path, monkeypatch):
    for flag in ("--first", "--second"):
        monkeypatch.setattr(sys, "argv", ["train.py", flag])
        _start(tmp_path)
    starts = json.loads((tmp_path / "environment.json").read_text())["starts"]
    assert [start["command"][1] for start in starts] == ["--first", "--second"]


def test_another_config_is_refused_with_every_key_that_differs(tmp_path):
    _start(tmp_path)
    before = (tmp_path / "config.json").read_text()
    with pytest.raises(UserError) as raised:
        _start(tmp_path, **{"model.width": 0.5, "optimizer.name": "sgd"})
    message = str(raised.value)
    assert "config.model.width: 1.0 there, 0.5 here" in message
    assert "config.optimizer.name: 'rmsprop' there, 'sgd' here" in message
    assert "config.seed" not in message
    assert "another --workdir" in message
    assert (tmp_path / "config.json").read_text() == before


def test_the_length_of_a_run_may_not_change_but_its_type(tmp_path):
    _start(tmp_path, total_epochs=2.0)
    _start(tmp_path, total_epochs=2)
    with pytest.raises(UserError, match=r"config\.total_epochs: 2\.?0? there, 3\.0 here"):
        _start(tmp_path, total_epochs=3.0)


def test_a_key_that_only_one_config_has_is_named(tmp_path):
    _start(tmp_path)
    with pytest.raises(UserError) as raised:
        _start_with(tmp_path, new_knob=3, depth=None)
    assert "config.model.new_knob: no such key there, 3 here" in str(raised.value)
    assert "config.model.depth: None there, no such key here" in str(raised.value)


def test_keys_that_change_no_weight_may_differ_and_are_replaced(tmp_path):
    free = {
        "checkpoint.keep": 9,
        "data.data_dir": "/elsewhere",
        "data.num_threads": 7,
        "data.num_workers": 5,
        "data.prefetch_batches": 1,
        "log.every_steps": 3,
        "log.tensorboard": False,
    }
    _start(tmp_path)
    _start(tmp_path, **free)
    assert read_config(tmp_path) == _config(**free)


def test_every_free_key_exists():
    config = base.get_config()
    for key in FREE_KEYS:
        section, _, name = key.rpartition(".")
        assert name in (config[section] if section else config)


def test_a_key_whose_name_only_begins_like_a_free_one_is_not_free():
    assert is_free("log")
    assert is_free("log.every_steps")
    assert not is_free("logistic")


def test_a_list_in_a_config_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"config\.model\.sizes is \[1, 2\], a list"):
        _start_with(tmp_path, sizes=[1, 2])


def test_a_workdir_that_is_a_file_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file: a file is in its place: choose another directory"):
        _start(tmp_path / "file")
    with pytest.raises(UserError, match="a part of the path is a file"):
        _start(tmp_path / "file" / "below")


def test_a_workdir_that_cannot_be_made_is_one_sentence():
    # Not even root can create a directory there.
    with pytest.raises(UserError, match=r"^Cannot create the run directory /proc/nowhere/a: .+\.$"):
        _start(pathlib.Path("/proc/nowhere/a"))


def test_a_result_is_written_alone_and_whole_or_not_at_all(tmp_path, monkeypatch):
    write_result(tmp_path, {"accuracy": 0.5, "steps": 10})
    (path,) = tmp_path.iterdir()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match=r"Cannot write .*result\.json: the disk is full: free"):
        write_result(tmp_path, {"accuracy": 0.75})
    assert json.loads(path.read_text()) == {"accuracy": 0.5, "steps": 10}


_LOCK = """
import fcntl, sys
file = open(sys.argv[1], "a+")
try:
    # Even a lock that tolerates its like finds the run's in the way.
    fcntl.lockf(file, (fcntl.LOCK_SH if "try" in sys.argv else fcntl.LOCK_EX) | fcntl.LOCK_NB)
except OSError:
    print("refused", flush=True)
else:
    print("got it", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def _other_process(workdir, *words):
    """Another process, which locks the directory; what it says of it."""
    command = [sys.executable, "-c", _LOCK, str(workdir / ".lock"), *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        yield process.stdout.readline().strip()
        process.kill()


def test_two_processes_cannot_use_one_directory(tmp_path):
    _start(tmp_path)
    message = f"Another process is using .*{re.escape(str(tmp_path))}"
    with _other_process(tmp_path) as answer:
        assert answer == "got it"
        with pytest.raises(UserError, match=message):
            _start(tmp_path)
    # The lock died with its process.
    _start(tmp_path)


def test_the_lock_is_held_while_the_run_goes_on_and_released_after_an_error(tmp_path):
    answers = []

    def fail(answer):
        answers.append(answer)
        raise FileNotFoundError("an image")

    # An error of the run itself is not taken for one of the directory.
    with (
        pytest.raises(FileNotFoundError, match="an image"),
        start_run(tmp_path, _config(), _CLASSES),
        _other_process(tmp_path, "try") as answer,
    ):
        fail(answer)
    with _other_process(tmp_path, "try") as answer:
        assert [*answers, answer] == ["refused", "got it"]


def test_a_directory_without_a_run_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no config\.json in .*not the directory of a run"):
        read_config(tmp_path)


@pytest.fixture
def become_second(tmp_path, monkeypatch):
    """Makes this process the second one; it hears of what is now in the run directory."""

    def become():
        text = (tmp_path / "environment.json").read_bytes()
        digest = hashlib.sha256(text).hexdigest()
        monkeypatch.setattr("jax.process_index", lambda: 1)
        monkeypatch.setattr("mobilenet.runs.run_directory.from_first", lambda _: digest)

    return become


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not valid JSON"),
        (b"\x80\x04K\x01.", "is not valid JSON"),
        (b"[" * 100_000, "is not valid JSON"),
        (b"[1, 2]", "is no config"),
    ],
    ids=["cut", "pickle", "deep", "list"],
)
def test_a_config_from_elsewhere_is_named(tmp_path, content, message):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(UserError, match=rf"config\.json {message}"):
        read_config(tmp_path)


def test_processes_but_the_first_write_nothing_and_need_no_lock(tmp_path, become_second):
    with start_run(tmp_path, _config(), _CLASSES):
        files = {path: path.read_bytes() for path in tmp_path.iterdir()}
        become_second()
        with start_run(tmp_path, _config(), _CLASSES) as directory:
            assert directory == tmp_path
            write_result(directory, {"accuracy": 0.5})
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


@pytest.mark.parametrize("other", [None, "an earlier start"])
def test_a_directory_that_is_not_that_of_the_first_process_is_one_sentence(
    tmp_path, become_second, monkeypatch, other
):
    _start(tmp_path)
    become_second()
    mine = tmp_path / "mine"
    mine.mkdir()
    if other:
        (mine / "environment.json").write_text(other)
    monkeypatch.setattr("mobilenet.runs.run_directory._SHARING_SECONDS", 0)
    with pytest.raises(UserError, match=r"mine of this process is not that of process 0: choose"):
        _start(mine)
