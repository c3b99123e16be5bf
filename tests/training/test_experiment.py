"""From a config to a run: lengths, first weights, and what cannot work, named by its key."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mobilenet.data.datasets import open_split
from mobilenet.errors import ConfigError
from mobilenet.networks.architecture import V2_ROWS
from mobilenet.ops.fused.operation import fused_expansion
from mobilenet.runtime.mesh import replicated, split_over_images
from mobilenet.tasks.network import build_network
from mobilenet.training.experiment import build_experiment
from mobilenet.training.initial_weights import load_initial_weights
from tests.helpers.small_config import get_config
from tests.helpers.states import assert_equal

pytestmark = pytest.mark.usefixtures("tiny_network")


@pytest.fixture
def build(config):
    """Builds an experiment from changes of the small config."""
    split = open_split(config.data, "train")

    def build(**changes):
        config.update_from_flattened_dict(changes)
        return build_experiment(config, split)

    return build


@pytest.fixture
def first_state(build, config):
    def first_state(**changes):
        experiment = build(**changes)
        return experiment.make_state(*load_initial_weights(config, experiment.network))

    return first_state


@pytest.mark.parametrize(
    ("total", "evaluation", "checkpoint", "eval_steps", "checkpoint_steps"),
    [
        # Every evaluated step is saved, for it may be the best.
        ({"epochs": 4}, {"epochs": 2}, {"steps": 4}, [9, 18], [4, 8, 9, 12, 16, 18]),
        # Without lengths, the end is evaluated and saved.
        ({"steps": 7}, {}, {}, [7], [7]),
    ],
)
def test_lengths_are_in_steps(build, total, evaluation, checkpoint, eval_steps, checkpoint_steps):
    lengths = {"total": total, "evaluation.every": evaluation, "checkpoint.every": checkpoint}
    changes = {
        f"{key}_{unit}": value.get(unit)
        for key, value in lengths.items()
        for unit in ("epochs", "steps")
    }
    # 72 images in batches of 16.
    experiment = build(**changes)
    assert experiment.steps_per_epoch == 4.5
    assert experiment.total_steps == eval_steps[-1]
    every = range(1, experiment.total_steps + 1)
    assert [step for step in every if experiment.is_eval_step(step)] == eval_steps
    assert [step for step in every if experiment.is_checkpoint_step(step)] == checkpoint_steps


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("total_steps", None, "set config.total_epochs or config.total_steps"),
        ("compute_dtype", "float16", "config.compute_dtype must be float32 or bfloat16"),
        ("model.name", "mobilenet_v3", "config.model: .*mobilenet_v3"),
        ("model.expansion", 6.0, "config.model: .*expansion"),
        ("batch_size", 12, "config.batch_size=12"),
        ("evaluation.batch_size", 12, "config.evaluation.batch_size=12"),
        ("optimizer.accumulation_steps", 0, "config.optimizer.accumulation_steps"),
        ("model.norm_group_size", 4, "config.model.norm_group_size=4"),
        ("label_smoothing", 1.0, "config.label_smoothing must be .* not 1.0"),
        ("label_smoothing", -0.1, "config.label_smoothing must be .* not -0.1"),
        ("ema_decay", 1.0, "config.ema_decay must be .* not 1.0"),
        ("checkpoint.keep", 0, "config.checkpoint.keep must be at least 1, not 0"),
        ("log.every_steps", 0, "config.log.every_steps must be at least 1, not 0"),
        ("optimizer.name", "adam", "config.optimizer.name"),
        ("schedule.name", "step", "config.schedule.name"),
        ("evaluation.every_steps", 0, "config.evaluation.every_steps must be"),
        ("checkpoint.every_steps", -1, "config.checkpoint.every_steps must be"),
    ],
)
def test_a_value_that_cannot_work_is_named(build, key, value, message):
    with pytest.raises(ConfigError, match=message):
        build(**{key: value})


def test_the_first_state_is_whole_on_every_device(first_state):
    state = first_state()
    assert state.step == 0
    for leaf in jax.tree.leaves(state):
        assert leaf.is_fully_replicated
        assert len(leaf.devices()) == 8
    assert_equal(state.ema, (state.params, state.batch_stats))


def test_the_seed_decides_the_first_weights(first_state):
    kernels = [
        np.asarray(first_state(seed=seed).params["stem"]["conv"]["kernel"])
        for seed in (0, 0, 1, 2**32 - 1)
    ]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])
    assert not np.array_equal(kernels[0], kernels[3])


@pytest.mark.parametrize("with_ema", [True, False])
def test_a_network_knows_the_shapes_of_its_checkpoints(first_state, config, with_ema):
    state = first_state(ema_decay=0.9 if with_ema else None)
    weights = build_network(config, 3).abstract_weights(with_ema=with_ema)

    def shapes(tree):
        return jax.tree.map(lambda x: (x.shape, x.dtype), tree)

    for name, tree in weights.items():
        assert shapes(tree) == shapes(getattr(state, name)), name
    fields = {field.name for field in dataclasses.fields(state)}
    assert weights.keys() == fields - {"step", "opt_state"}


@pytest.mark.parametrize(("group_size", "communicates"), [(2, False), (None, True)])
def test_groups_of_normalisation_stay_on_their_device(group_size, communicates):
    config = get_config()
    config.model.norm_group_size = group_size
    network = build_network(config, 3)
    weights = network.abstract_weights(with_ema=False)
    whole, split = replicated(network.mesh), split_over_images(network.mesh)

    def forward(params, batch_stats, images):
        logits, _ = network.functions.train(params, batch_stats, images, jax.random.key(0))
        return logits

    program = jax.jit(forward, in_shardings=(whole, whole, split), out_shardings=split)
    images = jax.ShapeDtypeStruct((16, 16, 16, 3), jnp.float32)
    text = program.lower(weights["params"], weights["batch_stats"], images).compile().as_text()
    assert ("all-reduce" in text) == communicates
    for operation in ("all-gather", "all-to-all", "collective-permute", "reduce-scatter"):
        assert operation not in text


V2 = {"model.name": "mobilenet_v2", "model.depth": None, "fused_expansions": True}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fused_expansions": True}, "mobilenet_v1 has no expansions of four"),
        (V2 | {"model.expansion": 2.0}, "mobilenet_v2 has no expansions of four"),
        (V2 | {"model.shortcut": "expansion"}, "shortcuts between expansions need them stored"),
        (V2, "each device must normalise all .* set config.model.norm_group_size=2"),
        (V2 | {"model.norm_group_size": 1}, ".* set config.model.norm_group_size=2"),
    ],
)
def test_expansions_that_cannot_be_fused(build, changes, message):
    with pytest.raises(ConfigError, match=r"config\.fused_expansions=True: " + message):
        build(**changes)


def test_a_network_with_fused_expansions_calls_their_kernels(build, monkeypatch):
    monkeypatch.setattr("mobilenet.networks.architecture.V2_ROWS", (V2_ROWS[0], V2_ROWS[2]))
    experiment = build(**V2, **{"model.norm_group_size": 2})
    seen = []
    really = fused_expansion

    def spy(x, *args, **options):
        seen.append(x.shape)
        return really(x, *args, **options)

    monkeypatch.setattr("mobilenet.ops.fused.operation.fused_expansion", spy)
    state = experiment.abstract_state
    images = jax.ShapeDtypeStruct((16, 16, 16, 3), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    jax.eval_shape(experiment.network.functions.train, state.params, state.batch_stats, images, key)
    # Each device's own two images, behind a stem of stride 2.
    assert seen == [(2, 8, 8, 8), (2, 4, 4, 8)]
