"""A training step against formulas written down again, and over devices and micro-batches."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mobilenet.factory import create_model
from mobilenet.networks.functional import split_model
from mobilenet.runs.state import create_state
from mobilenet.runtime.mesh import make_mesh, replicated, split_over_images, to_devices
from mobilenet.tasks.choose import choose_task
from mobilenet.tasks.network import make_eval_step
from mobilenet.training.step import make_train_step
from tests.helpers.linear_step import (
    CLASSES,
    LINEAR,
    PARAMS,
    SCHEDULE,
    log_softmax,
    make_batch,
    make_config,
    take_step,
    with_others,
)
from tests.helpers.states import assert_equal


def _normalized(images):
    return (images.astype(np.float64) - 127.5) / 127.5


def _mean_loss(params, batch, smoothing):
    """(1 - s) times the cross-entropy with the label plus s times that with every class alike."""
    features = _normalized(batch["images"]).mean((1, 2))
    log_p = log_softmax(features @ np.float64(params["kernel"]) + np.float64(params["bias"]))
    losses = -(1 - smoothing) * log_p[np.arange(len(log_p)), batch["labels"]]
    losses -= smoothing * log_p.mean(-1)
    return losses[batch["mask"] > 0].mean()


def _gradient(params, batch, smoothing):
    """By central differences in float64, of the formula above."""
    gradient = {}
    for name, value in params.items():
        gradient[name] = np.zeros(value.shape)
        for index in np.ndindex(value.shape):
            sides = []
            for sign in (1, -1):
                moved = {key: np.array(value, np.float64) for key, value in params.items()}
                moved[name][index] += sign * 1e-5
                sides.append(_mean_loss(moved, batch, smoothing))
            gradient[name][index] = (sides[0] - sides[1]) / 2e-5
    return gradient


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_step_follows_the_formula(smoothing, accumulation):
    batch = make_batch(8, valid=5)
    changes = {"label_smoothing": smoothing, "optimizer.accumulation_steps": accumulation}
    state, metrics = take_step(batch, **changes, **{"augment.flip": False})
    gradient = _gradient(PARAMS, batch, smoothing)
    norm = np.sqrt(sum(np.square(g).sum() for g in gradient.values()))
    # Float32 arithmetic on numbers of order 1.
    np.testing.assert_allclose(metrics["loss"], _mean_loss(PARAMS, batch, smoothing), rtol=1e-5)
    np.testing.assert_allclose(metrics["gradient_norm"], norm, rtol=1e-4)
    assert metrics["images"] == 5
    assert metrics["learning_rate"] == 0.25
    assert state.step == 1
    for name, value in PARAMS.items():
        expected = np.float64(value) - 0.25 * gradient[name]
        np.testing.assert_allclose(state.params[name], expected, rtol=1e-5, atol=1e-6)


def test_masked_images_weigh_nothing():
    batch = make_batch(8, valid=5)
    (state, metrics), (other_state, other_metrics) = map(take_step, (batch, with_others(batch, 5)))
    assert_equal((metrics, state.params), (other_metrics, other_state.params))


def test_a_batch_without_valid_images_changes_nothing():
    state, metrics = take_step(make_batch(4, valid=0))
    assert_equal(state.params, PARAMS)
    assert (metrics["loss"], metrics["images"], metrics["top1"]) == (0, 0, 0)


def test_randomness_is_a_function_of_seed_and_step():
    batch = make_batch(16)
    state, _ = take_step(batch)
    again, _ = take_step(batch)
    next_state, _ = take_step(batch, state)
    other_seed, _ = take_step(batch, seed=1)
    for name in ("images", "noise"):
        first = np.asarray(state.batch_stats[name])
        np.testing.assert_array_equal(first, again.batch_stats[name])
        assert not np.array_equal(first, next_state.batch_stats[name])
        assert not np.array_equal(first, other_seed.batch_stats[name])


def test_flips_can_be_switched_off():
    batch = make_batch(16)
    state, _ = take_step(batch, **{"augment.flip": False})
    expected = _normalized(batch["images"])
    np.testing.assert_allclose(state.batch_stats["images"], expected, atol=1e-6)


def test_the_average_holds_parameters_and_statistics():
    batch = make_batch(4)
    state, _ = take_step(batch, ema_decay=0.99)
    # TensorFlow's warm-up: the first of all steps keeps 1 / 10 of the old values.
    for average, old, new in (
        (state.ema[0]["kernel"], PARAMS["kernel"], state.params["kernel"]),
        (state.ema[1]["images"], np.zeros_like(batch["images"]), state.batch_stats["images"]),
    ):
        expected = 0.1 * np.asarray(old, np.float64) + 0.9 * np.asarray(new, np.float64)
        np.testing.assert_allclose(average, expected, rtol=1e-5, atol=1e-6)
    assert state.evaluated is state.ema


def test_without_an_average_the_weights_themselves_are_evaluated():
    state, _ = take_step(make_batch(4))
    assert state.ema is None
    assert state.evaluated == (state.params, state.batch_stats)


def test_an_evaluation_step_neither_flips_nor_smooths():
    batch = make_batch(8, valid=6)
    config = make_config(label_smoothing=0.1)
    step = make_eval_step(LINEAR.evaluate, choose_task(config))
    sums = step(PARAMS, {}, jax.tree.map(jnp.asarray, batch))
    loss = _mean_loss(PARAMS, batch, 0.0)
    np.testing.assert_allclose(sums["loss"], 6 * loss, rtol=1e-5)
    assert sums["images"] == sums["read"] == 6


@functools.cache
def _compiled_real_step(size, devices, **changes):
    """A step of the stem and a separable convolution, all in float64, with its first state."""
    config = make_config(**{"ema_decay": 0.9, "label_smoothing": 0.1, **changes})
    mesh = make_mesh(jax.devices()[:devices])
    model = create_model(
        "mobilenet_v1_025",
        CLASSES,
        dtype=jnp.float64,
        resolution=8,
        norm_momentum=0.5,
        dropout=config.model.dropout,
        norm_group_size=config.model.norm_group_size,
    )
    functions, params, stats = split_model(model)
    params, stats = jax.tree.map(lambda x: x.astype(jnp.float64), (params, stats))
    optimizer = optax.sgd(SCHEDULE)
    whole = replicated(mesh)
    state = jax.device_put(create_state(params, stats, optimizer, with_ema=True), whole)
    step = jax.jit(
        make_train_step(functions.train, choose_task(config), optimizer, SCHEDULE, config),
        in_shardings=(whole, split_over_images(mesh)),
        out_shardings=whole,
    )
    return step.lower(state, to_devices(make_batch(size, side=8), mesh)).compile(), state, mesh


def _take_real_step(batch, devices, **changes):
    with jax.enable_x64(True):
        step, state, mesh = _compiled_real_step(len(batch["images"]), devices, **changes)
        return jax.device_get(step(state, to_devices(batch, mesh))), step.as_text()


def _assert_close(one, other):
    # Sums of some thousand numbers in another order, in float64: 2**-53 times a thousand, and as
    # much again for what the layers make of it. Float32 would be off by 1e-4.
    close = functools.partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-11)
    jax.tree.map(close, one, other)


@pytest.mark.usefixtures("tiny_network")
def test_eight_devices_take_the_step_of_one():
    # Masked images lie on one device; flips and dropout are drawn.
    batch = make_batch(16, side=8, valid=13)
    (one, one_metrics), _ = _take_real_step(batch, 1, **{"model.dropout": 0.5})
    (eight, eight_metrics), text = _take_real_step(batch, 8, **{"model.dropout": 0.5})
    assert "all-reduce" in text
    assert one.params["stem"]["conv"]["kernel"].dtype == np.float64
    _assert_close((one, one_metrics), (eight, eight_metrics))


@pytest.mark.usefixtures("tiny_network")
def test_micro_batches_add_up_to_the_large_batch():
    fixed = {"augment.flip": False, "model.dropout": 0.0, "model.norm_group_size": 2}
    batch = make_batch(16, side=8, valid=13)
    (parts, parts_metrics), text = _take_real_step(
        batch, 2, **fixed, **{"optimizer.accumulation_steps": 2}
    )
    # Each device makes micro-batches of the images that it holds.
    assert "all-to-all" not in text
    assert "all-gather" not in text
    # Micro-batch m takes every second image from m on, which decides the groups of BatchNorm.
    order = np.concatenate([np.arange(0, 16, 2), np.arange(1, 16, 2)])
    reordered = {key: value[order] for key, value in batch.items()}
    (whole, whole_metrics), _ = _take_real_step(reordered, 1, **fixed)
    # Moving statistics move once for each micro-batch, so they differ.
    _assert_close(
        (parts.params, parts.ema[0], parts_metrics), (whole.params, whole.ema[0], whole_metrics)
    )


@pytest.mark.usefixtures("tiny_network")
def test_masked_images_take_part_in_normalisation():
    batch = make_batch(16, side=8, valid=15)
    other = {**batch, "images": batch["images"].copy()}
    other["images"][15] = 0
    (state, _), _ = _take_real_step(batch, 1, **{"model.dropout": 0.5})
    (other_state, _), _ = _take_real_step(other, 1, **{"model.dropout": 0.5})
    mean, other_mean = (s.batch_stats["stem"]["conv"]["norm"]["mean"] for s in (state, other_state))
    assert not np.allclose(mean, other_mean)
