"""Checkpoints keep the last and the best, move between devices and survive bad disks."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh

from mobilenet.errors import UserError
from mobilenet.runs.checkpoint import Checkpoints
from mobilenet.runs.state import TrainState
from mobilenet.runtime.mesh import replicated


def _sharding(devices=1):
    return replicated(Mesh(jax.devices()[:devices], ("data",), axis_types=(AxisType.Auto,)))


def _state(step, *, devices=1, size=5, with_ema=True):
    def tree(offset):
        return {"layer": {"kernel": jnp.arange(size, dtype=jnp.float32) + offset}}

    state = TrainState(
        step=jnp.asarray(step, jnp.int32),
        params=tree(step),
        batch_stats=tree(step + 0.25),
        opt_state=(tree(step + 0.5), jnp.asarray(step, jnp.int32)),
        ema=(tree(step + 0.75), tree(step + 0.875)) if with_ema else None,
    )
    return jax.device_put(state, _sharding(devices))


def _saved(workdir, steps, *, keep=3, scores=None, **keys):
    checkpoints = Checkpoints(workdir, keep=keep, scores=scores or {})
    for step in steps:
        checkpoints.save(step, _state(step, **keys))
    checkpoints.wait()
    return checkpoints


@pytest.mark.parametrize("with_ema", [True, False])
@pytest.mark.parametrize(("written_on", "read_on"), [(8, 1), (1, 8)])
def test_a_state_moves_between_numbers_of_devices(tmp_path, written_on, read_on, with_ema):
    _saved(tmp_path, [4], devices=written_on, with_ema=with_ema).close()
    target = _state(0, with_ema=with_ema)
    checkpoints = Checkpoints(tmp_path, keep=1, scores={})
    restored = checkpoints.restore(4, target, _sharding(read_on))
    checkpoints.close()
    assert jax.tree.structure(restored) == jax.tree.structure(target)
    jax.tree.map(np.testing.assert_array_equal, restored, _state(4, with_ema=with_ema))
    for leaf in jax.tree.leaves(restored):
        assert len(leaf.sharding.device_set) == read_on
        assert leaf.sharding.is_fully_replicated


def test_weights_are_read_alone(tmp_path):
    checkpoints = _saved(tmp_path, [4])
    target = _state(0)
    shapes = {name: getattr(target, name) for name in ("params", "batch_stats", "ema")}
    shutil.rmtree(tmp_path / "checkpoints" / "4" / "progress")
    weights = checkpoints.restore_weights(4, shapes, _sharding())
    checkpoints.close()
    expected = _state(4)
    jax.tree.map(
        np.testing.assert_array_equal,
        weights,
        {name: getattr(expected, name) for name in shapes},
    )


def test_the_last_ones_and_the_best_are_kept(tmp_path):
    scores = {1: 0.1, 2: 0.8, 3: 0.7, 4: 0.8}
    checkpoints = _saved(tmp_path, [1, 2, 3, 4, 5], keep=1, scores=scores)
    assert checkpoints.steps() == [2, 5]
    # The earlier of equals; 5 was never evaluated.
    assert (checkpoints.last(), checkpoints.best()) == (5, 2)
    # Scores grow while a run goes on.
    scores[6] = 0.9
    checkpoints.save(6, _state(6))
    checkpoints.wait()
    assert checkpoints.steps() == [6]
    checkpoints.close()
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["6"]


def test_without_scores_only_the_last_are_kept(tmp_path):
    checkpoints = _saved(tmp_path, [1, 2, 3], keep=2)
    assert (checkpoints.steps(), checkpoints.best()) == ([2, 3], None)
    checkpoints.close()


def test_an_empty_folder_has_none(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=1, scores={3: 1.0})
    assert (checkpoints.steps(), checkpoints.last(), checkpoints.best()) == ([], None, None)
    checkpoints.close()


def test_a_state_may_be_overwritten_while_it_is_saved(tmp_path):
    # As the loop does: the next step is given the memory of the state.
    overwrite = jax.jit(lambda s: jax.tree.map(jnp.zeros_like, s), donate_argnums=0)
    checkpoints = Checkpoints(tmp_path, keep=3, scores={})
    for step in (1, 2, 3):
        state = _state(step, size=300_000)
        checkpoints.save(step, state)
        jax.block_until_ready(overwrite(state))
    checkpoints.wait()
    for step in (1, 2, 3):
        restored = checkpoints.restore(step, _state(0, size=300_000), _sharding())
        jax.tree.map(np.testing.assert_array_equal, restored, _state(step, size=300_000))
    checkpoints.close()


def test_a_step_is_saved_once(tmp_path):
    checkpoints = _saved(tmp_path, [1])
    checkpoints.save(1, _state(7))
    checkpoints.wait()
    assert checkpoints.restore(1, _state(0), _sharding()).params["layer"]["kernel"][0] == 1
    checkpoints.close()


def test_what_a_killed_save_left_is_no_checkpoint_and_removed(tmp_path):
    _saved(tmp_path, [1, 2]).close()
    folder = tmp_path / "checkpoints"
    left = folder / "3.orbax-checkpoint-tmp"
    shutil.copytree(folder / "2", left)
    (left / "commit_success.txt").unlink()
    reader = Checkpoints(tmp_path, keep=1, scores={}, read_only=True)
    assert reader.steps() == [1, 2]
    reader.close()
    assert left.exists()
    writer = Checkpoints(tmp_path, keep=3, scores={})
    assert writer.last() == 2
    writer.save(3, _state(3))
    writer.wait()
    assert writer.steps() == [1, 2, 3]
    writer.close()
    assert not left.exists()


def test_reading_changes_nothing(tmp_path):
    _saved(tmp_path, [1, 2]).close()
    before = sorted(tmp_path.rglob("*"))
    reader = Checkpoints(tmp_path, keep=1, scores={}, read_only=True)
    reader.restore(1, _state(0), _sharding())
    reader.close()
    assert sorted(tmp_path.rglob("*")) == before


def test_reading_a_run_without_checkpoints_makes_no_folder(tmp_path):
    reader = Checkpoints(tmp_path, keep=1, scores={}, read_only=True)
    assert reader.last() is None
    reader.close()
    assert not list(tmp_path.iterdir())


def test_a_step_that_is_not_there_is_named_with_those_that_are(tmp_path):
    checkpoints = _saved(tmp_path, [1, 2])
    with pytest.raises(UserError, match=r"no checkpoint of step 7 in .*: it has 1, 2\."):
        checkpoints.restore(7, _state(0), _sharding())
    checkpoints.close()


def test_a_checkpoint_of_another_network_does_not_fit(tmp_path):
    checkpoints = _saved(tmp_path, [1])
    with pytest.raises(
        UserError, match=r"batch_stats/layer/kernel is \(5,\) there and \(6,\) here\."
    ):
        checkpoints.restore(1, _state(0, size=6), _sharding())
    with pytest.raises(UserError, match=r"ema/0/layer/kernel is \(5,\) there and absent here\."):
        checkpoints.restore(1, _state(0, with_ema=False), _sharding())
    checkpoints.close()


def test_a_file_in_the_place_of_the_folder_is_one_sentence(tmp_path):
    (tmp_path / "checkpoints").write_text("")
    with pytest.raises(UserError, match=r"Cannot open .*/checkpoints: ") as raised:
        Checkpoints(tmp_path, keep=1, scores={})
    assert "\n" not in str(raised.value)
