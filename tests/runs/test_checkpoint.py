"""Checkpoints keep the last and the best, move between devices and survive bad disks."""

import contextlib
import shutil

import jax
import jax.numpy as jnp
import pytest

from mobilenet.errors import UserError
from mobilenet.runs.checkpoint import Checkpoints
from tests.helpers.states import assert_equal, make_state, sharding, weights_of


def _open(workdir, *, keep=3, scores=None, read_only=False):
    scores = {} if scores is None else scores
    return contextlib.closing(Checkpoints(workdir, keep=keep, scores=scores, read_only=read_only))


@contextlib.contextmanager
def _saved(workdir, steps, *, keep=3, scores=None, **keys):
    with _open(workdir, keep=keep, scores=scores) as checkpoints:
        for step in steps:
            checkpoints.save(step, make_state(step, **keys))
        checkpoints.wait()
        yield checkpoints


@pytest.mark.parametrize("with_ema", [True, False])
@pytest.mark.parametrize(("written_on", "read_on"), [(8, 1), (1, 8)])
def test_a_state_moves_between_numbers_of_devices(tmp_path, written_on, read_on, with_ema):
    with _saved(tmp_path, [4], devices=written_on, with_ema=with_ema):
        pass
    target = make_state(0, with_ema=with_ema)
    with _open(tmp_path) as checkpoints:
        restored = checkpoints.restore(4, target, sharding(read_on))
    assert jax.tree.structure(restored) == jax.tree.structure(target)
    assert_equal(restored, make_state(4, with_ema=with_ema))
    for leaf in jax.tree.leaves(restored):
        assert len(leaf.sharding.device_set) == read_on
        assert leaf.sharding.is_fully_replicated


def test_weights_are_read_alone(tmp_path):
    with _saved(tmp_path, [4]) as checkpoints:
        shutil.rmtree(tmp_path / "checkpoints" / "4" / "progress")
        weights = checkpoints.restore_weights(4, weights_of(make_state(0)), sharding())
    assert_equal(weights, weights_of(make_state(4)))


def test_the_last_ones_and_the_best_are_kept(tmp_path):
    scores = {1: 0.1, 2: 0.8, 3: 0.7, 4: 0.8}
    with _saved(tmp_path, [1, 2, 3, 4, 5], keep=1, scores=scores) as checkpoints:
        # The earlier of equals; 5 was never evaluated.
        assert checkpoints.steps() == [2, 5]
        assert checkpoints.last() == 5
        assert checkpoints.find_whole_weights("best") == 2
        # Scores grow while a run goes on.
        scores[6] = 0.9
        checkpoints.save(6, make_state(6))
        checkpoints.wait()
        assert checkpoints.steps() == [6]
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["6"]


def test_without_scores_only_the_last_are_kept(tmp_path):
    with _saved(tmp_path, [1, 2, 3], keep=2) as checkpoints:
        assert checkpoints.steps() == [2, 3]
        assert checkpoints.find_whole_weights("best") is None


def test_a_state_may_be_overwritten_while_it_is_saved(tmp_path):
    # As the loop does: the next step is given the memory of the state.
    overwrite = jax.jit(lambda s: jax.tree.map(jnp.zeros_like, s), donate_argnums=0)
    with _open(tmp_path) as checkpoints:
        for step in (1, 2, 3):
            state = make_state(step, size=300_000)
            checkpoints.save(step, state)
            jax.block_until_ready(overwrite(state))
        checkpoints.wait()
        for step in (1, 2, 3):
            restored = checkpoints.restore(step, make_state(0, size=300_000), sharding())
            assert_equal(restored, make_state(step, size=300_000))


def test_a_step_is_saved_once(tmp_path):
    with _saved(tmp_path, [1]) as checkpoints:
        checkpoints.save(1, make_state(7))
        checkpoints.wait()
        assert_equal(checkpoints.restore(1, make_state(0), sharding()), make_state(1))


def test_what_a_killed_save_left_is_no_checkpoint_and_removed(tmp_path):
    with _saved(tmp_path, [1, 2]):
        pass
    folder = tmp_path / "checkpoints"
    left = folder / "3.orbax-checkpoint-tmp"
    shutil.copytree(folder / "2", left)
    (left / "commit_success.txt").unlink()
    before = sorted(tmp_path.rglob("*"))
    with _open(tmp_path, keep=1, read_only=True) as reader:
        assert reader.steps() == [1, 2]
        reader.restore(1, make_state(0), sharding())
    # Reading changes nothing.
    assert sorted(tmp_path.rglob("*")) == before
    with _open(tmp_path) as writer:
        assert writer.last() == 2
        writer.save(3, make_state(3))
        writer.wait()
        assert writer.steps() == [1, 2, 3]
    assert not left.exists()


def test_reading_a_run_without_checkpoints_makes_no_folder(tmp_path):
    with _open(tmp_path, scores={3: 1.0}, read_only=True) as reader:
        assert (reader.steps(), reader.last()) == ([], None)
        assert reader.find_whole_weights("best") is None
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_that_is_not_there_or_of_another_network_is_named(tmp_path):
    with _saved(tmp_path, [1, 2]) as checkpoints:
        for step, target, message in (
            (7, make_state(0), r"no checkpoint of step 7 in .*: it has 1, 2\."),
            (1, make_state(0, size=6), r"batch_stats/layer/kernel is \(5,\) there and \(6,\) here"),
            (1, make_state(0, with_ema=False), r"ema/0/layer/kernel is \(5,\) .* absent here\."),
        ):
            with pytest.raises(UserError, match=message):
                checkpoints.restore(step, target, sharding())


def test_a_file_in_the_place_of_the_folder_is_one_sentence(tmp_path):
    (tmp_path / "checkpoints").write_text("")
    with pytest.raises(UserError, match=r"Cannot open .*/checkpoints: ") as raised:
        Checkpoints(tmp_path, keep=1, scores={})
    assert "\n" not in str(raised.value)
