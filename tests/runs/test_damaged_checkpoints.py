"""A damaged checkpoint is never used: the one before it is, and a line says so."""

import contextlib
import errno
import functools
import shutil
import subprocess

import pytest

from mobilenet.errors import UserError
from mobilenet.runs import checkpoint
from mobilenet.runs.checkpoint import Checkpoints
from mobilenet.runs.checksums import find_damage
from mobilenet.runs.weights import open_weights
from mobilenet.training.loop import train
from tests.helpers.run_ends import read_curve
from tests.helpers.states import assert_equal, make_state, sharding, weights_of

_SCORES = {1: 0.5, 2: 0.9, 3: 0.7}
# Large enough that its values have a file of their own.
_state = functools.partial(make_state, size=2000, with_ema=False)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("saved")
    with _open(workdir, read_only=False) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(step, _state(step))
    return workdir


@pytest.fixture
def workdir(saved, tmp_path):
    """A run directory with the checkpoints of steps 1, 2 and 3."""
    shutil.copytree(saved / "checkpoints", tmp_path / "checkpoints")
    return tmp_path


def _open(workdir, *, read_only=True):
    checkpoints = Checkpoints(workdir, keep=3, scores=_SCORES, read_only=read_only)
    return contextlib.closing(checkpoints)


def _files(workdir, step):
    """The files of a checkpoint, the largest first; not the two that only Orbax looks at."""
    folder = workdir / "checkpoints" / str(step)
    files = [path for path in folder.glob("*/**/*") if path.is_file()]
    return sorted(files, key=lambda path: path.stat().st_size, reverse=True)


def _values(workdir, step, item):
    return next(path for path in _files(workdir, step) if f"/{step}/{item}/" in str(path))


def _flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def _empty(path):
    path.write_bytes(b"")


_DAMAGE = [_flip, _cut, _empty, lambda path: path.unlink()]
damages = pytest.mark.parametrize("damage", _DAMAGE, ids=["flipped", "cut", "emptied", "removed"])


@damages
def test_training_takes_the_one_before_and_sets_the_damaged_one_aside(workdir, damage, caplog):
    path = _values(workdir, 3, "progress")
    damage(path)
    name = path.relative_to(workdir / "checkpoints" / "3")
    what = "missing" if not path.exists() else "not as it was written"
    with _open(workdir, read_only=False) as checkpoints:
        assert checkpoints.last_whole() == 2
        assert_equal(checkpoints.restore(2, _state(0), sharding()), _state(2))
    aside = workdir / "damaged_checkpoints" / "3.1"
    assert [record.getMessage() for record in caplog.records] == [
        f"The checkpoint of step 3 in {workdir}/checkpoints is damaged ({name} is {what}): that of "
        f"step 2 is used, and it is now {aside}."
    ]


def test_a_step_that_was_damaged_is_saved_again_and_again(workdir):
    with _open(workdir, read_only=False) as checkpoints:
        for number in (1, 2):
            _flip(_values(workdir, 3, "weights"))
            assert checkpoints.last_whole() == 2
            assert len(list((workdir / "damaged_checkpoints").iterdir())) == number
            checkpoints.save(3, _state(3))
            checkpoints.wait()
        assert checkpoints.last_whole() == 3
        assert_equal(checkpoints.restore(3, _state(0), sharding()), _state(3))


def test_a_flipped_bit_in_any_file_is_found(workdir):
    files = _files(workdir, 3)
    assert len(files) > 10
    for path in files:
        whole = path.read_bytes()
        if not whole:
            continue
        _flip(path)
        found = find_damage(workdir / "checkpoints" / "3", ("weights", "progress"))
        name = path.relative_to(workdir / "checkpoints" / "3")
        assert found == f"{name} is not as it was written"
        path.write_bytes(whole)
    assert find_damage(workdir / "checkpoints" / "3", ("weights", "progress")) is None


def test_the_sums_are_those_of_sha256sum(workdir):
    folder = workdir / "checkpoints" / "3"
    command = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    checked = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    assert len(lines) == len(_files(workdir, 3))


@pytest.mark.parametrize("damage", [_flip, _cut, _empty], ids=["flipped", "cut", "emptied"])
def test_a_damaged_list_of_sums_is_damage(workdir, damage):
    damage(workdir / "checkpoints" / "3" / "SHA256SUMS")
    with _open(workdir, read_only=False) as checkpoints:
        assert checkpoints.last_whole() == 2


@pytest.mark.parametrize(("which", "step", "instead"), [("last", 3, 2), ("best", 2, 3)])
def test_evaluation_takes_the_next_one_and_changes_nothing(workdir, which, step, instead, caplog):
    path = _values(workdir, step, "weights")
    _flip(path)
    before = sorted(workdir.rglob("*"))
    with _open(workdir) as checkpoints:
        assert checkpoints.find_whole_weights(which) == instead
        # A damaged step that was asked for is refused.
        message = rf"of step {step} in .* is damaged \(weights/.*\): take another"
        with pytest.raises(UserError, match=message):
            checkpoints.restore_weights(step, weights_of(_state(0)), sharding())
    assert sorted(workdir.rglob("*")) == before
    name = path.relative_to(workdir / "checkpoints" / str(step))
    assert [record.getMessage() for record in caplog.records] == [
        f"The checkpoint of step {step} in {workdir}/checkpoints is damaged ({name} is not as it "
        f"was written): that of step {instead} is used."
    ]


@pytest.mark.parametrize("harm", ["no sums", "damage beside the weights"])
def test_weights_without_sums_or_beside_damage_are_read(workdir, harm):
    if harm == "no sums":
        (workdir / "checkpoints" / "3" / "SHA256SUMS").unlink()
    else:
        _flip(_values(workdir, 3, "progress"))
    with _open(workdir) as checkpoints:
        assert checkpoints.find_whole_weights("last") == 3
        weights = checkpoints.restore_weights(3, weights_of(_state(0)), sharding())
    assert_equal(weights, weights_of(_state(3)))


def test_where_all_are_damaged_one_sentence_names_them_and_nothing_is_moved(workdir):
    for step in (1, 2, 3):
        _cut(_values(workdir, step, "weights"))
    before = sorted(workdir.rglob("*"))
    message = r"^No checkpoint in .* is whole \(of step \d.*\): "
    with _open(workdir, read_only=False) as checkpoints:
        for find in (checkpoints.last_whole, lambda: checkpoints.find_whole_weights("best")):
            with pytest.raises(UserError, match=message) as raised:
                find()
            assert all(f"of step {step} weights/" in str(raised.value) for step in (1, 2, 3))
    assert sorted(workdir.rglob("*")) == before


def test_a_checkpoint_whose_sums_cannot_be_written_is_none(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with _open(tmp_path, read_only=False) as checkpoints:
        checkpoints.save(1, _state(1))
        checkpoints.wait()
        monkeypatch.setattr(checkpoint, "write_checksums", full)
        checkpoints.save(2, _state(2))
        with pytest.raises(UserError, match=r"Cannot write a checkpoint .*: the disk is full"):
            checkpoints.wait()
    with _open(tmp_path) as left:
        assert left.steps() == [1]


@pytest.mark.parametrize(("processes", "kind"), [(1, UserError), (2, RuntimeError)])
def test_an_error_that_may_be_the_loss_of_a_process_is_left_as_it_is(
    tmp_path, monkeypatch, processes, kind
):
    with _open(tmp_path, read_only=False) as checkpoints, monkeypatch.context() as patch:
        patch.setattr("jax.process_count", lambda: processes)
        with pytest.raises(kind, match="Barrier failed"), checkpoints._explained("write to"):
            raise RuntimeError("Barrier failed")


@pytest.mark.usefixtures("tiny_network", "one_device", "cached_compilation")
@pytest.mark.slow
def test_a_run_goes_on_from_the_one_before_to_the_same_bits(config, tmp_path, caplog):
    def found():
        weights = [open_weights(tmp_path, ema=ema) for ema in (False, True)]
        return read_curve(tmp_path), [(w.params, w.batch_stats) for w in weights]

    config.total_steps = 4
    train(config, tmp_path)
    before = found()
    _flip(_values(tmp_path, 4, "weights"))
    train(config, tmp_path)
    assert "The checkpoint of step 4 in " in caplog.text
    assert "that of step 2 is used" in caplog.text
    assert_equal(found(), before)
