"""The training step of the plain Flax network: of the same kind as ours, on several devices too."""

import jax
import numpy as np
import pytest

from benchmarks.plain_step import build_plain_step
from mobilenet.data.datasets import open_split
from mobilenet.runtime.mesh import make_mesh
from mobilenet.training.experiment import build_experiment
from mobilenet.training.initial_weights import settle_config
from tests.helpers.small_config import get_config


@pytest.mark.parametrize("norm_group_size", [None, 2])
@pytest.mark.usefixtures("tiny_network")
def test_the_state_after_a_step_is_like_the_one_before_and_as_large_as_ours(norm_group_size):
    config = get_config()
    config.data.fake = True
    config.data.fake_classes, config.data.fake_examples = 3, 32
    config.model.norm_group_size = norm_group_size
    config.schedule.warmup_epochs = None
    config = settle_config(config)
    split = open_split(config.data, config.data.train_split)
    experiment = build_experiment(config, split, make_mesh(jax.devices()))
    step, state = build_plain_step(config, experiment)
    batch = {
        "images": jax.ShapeDtypeStruct((16, 16, 16, 3), np.uint8),
        "labels": jax.ShapeDtypeStruct((16,), np.int32),
        "mask": jax.ShapeDtypeStruct((16,), np.float32),
    }
    after, metrics = step.eval_shape(state, batch)
    _, ours = experiment.train_step.eval_shape(experiment.abstract_state, batch)
    assert jax.tree.map(_shape, after) == jax.tree.map(_shape, state)
    assert metrics == ours
    sizes = (
        sum(leaf.size for leaf in jax.tree.leaves(tree.params))
        for tree in (state, experiment.abstract_state)
    )
    assert len(set(sizes)) == 1


def _shape(leaf):
    return leaf.shape, leaf.dtype
