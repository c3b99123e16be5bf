"""Learning rates against the formulas of their sources, in plain Python."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mobilenet import config as base
from mobilenet.errors import ConfigError
from mobilenet.training.schedule import make_schedule


def _schedule(**keys):
    schedule = base.get_config().schedule
    schedule.update(keys)
    return schedule


def _rates(schedule, total_steps, steps_per_epoch):
    function = jax.jit(make_schedule(schedule, total_steps, steps_per_epoch))
    return np.array([function(jnp.int32(step)) for step in range(total_steps)])


def test_staircase_drops_at_the_exact_step_late_in_the_longest_run():
    # Seven million steps are on the axes of MobileNetV2's figure 6.
    schedule = _schedule(decay_epochs=None, decay_steps=13_345, decay_factor=0.98)
    rate = make_schedule(schedule, 7_000_000, 13_345.0)
    before, after = float(rate(13_345 * 500 - 1)), float(rate(13_345 * 500))
    assert after / before == pytest.approx(0.98, rel=1e-5)


@pytest.mark.parametrize(
    ("keys", "steps_per_epoch", "expected"),
    [
        (
            {"learning_rate": 0.045, "decay_factor": 0.98, "decay_epochs": 2.5},
            4.0,
            [0.045 * 0.98 ** (step // 10) for step in range(60)],
        ),
        (
            {"decay_factor": 0.5, "decay_epochs": None, "decay_steps": 8, "staircase": False},
            1.0,
            [0.5 ** (step / 8) for step in range(20)],
        ),
        # A warm-up rises linearly, its first step learns, and the decay counts from its end.
        (
            {"name": "constant", "learning_rate": 0.4, "warmup_steps": 4},
            1.0,
            [0.1, 0.2, 0.3, 0.4, 0.4, 0.4, 0.4],
        ),
        (
            {"warmup_steps": 6, "decay_epochs": None, "decay_steps": 5, "decay_factor": 0.5},
            1.0,
            [*(step / 6 for step in range(1, 7)), *[1.0] * 5, *[0.5] * 5, 0.25],
        ),
    ],
)
def test_rates_follow_the_formula(keys, steps_per_epoch, expected):
    schedule = _schedule(**{"learning_rate": 1.0, **keys})
    np.testing.assert_allclose(
        _rates(schedule, len(expected), steps_per_epoch), expected, rtol=1e-6
    )


def test_cosine_after_warmup_ends_at_the_final_rate():
    schedule = _schedule(
        name="cosine", learning_rate=0.5, final_learning_rate=0.1, warmup_epochs=2.0
    )
    rates = _rates(schedule, 30, 5.0)
    expected = [0.5 * (step + 1) / 10 for step in range(10)] + [
        0.1 + 0.4 * (1 + math.cos(math.pi * step / 20)) / 2 for step in range(20)
    ]
    np.testing.assert_allclose(rates, expected, rtol=1e-5)
    function = make_schedule(schedule, 30, 5.0)
    assert float(function(30)) == pytest.approx(0.1)
    assert float(function(1000)) == pytest.approx(0.1)


@pytest.mark.parametrize("name", ["constant", "exponential", "cosine"])
@pytest.mark.parametrize("warmup_steps", [None, 0, 3])
def test_the_rate_is_a_positive_float32_scalar(name, warmup_steps):
    rate = make_schedule(_schedule(name=name, warmup_steps=warmup_steps), 10, 5.0)(jnp.int32(0))
    assert rate.dtype == jnp.float32
    assert rate.shape == ()
    assert rate > 0


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"name": "linear"}, "name must be one of constant, exponential, cosine, not 'linear'"),
        ({"learning_rate": 0.0}, r"learning_rate must be above 0, not 0\.0"),
        ({"learning_rate": math.nan}, "learning_rate must be above 0, not nan"),
        ({"warmup_steps": 10}, "warm-up of 10 steps must be shorter than the run of 10 steps"),
        ({"warmup_epochs": -1}, "warmup_epochs must be a number of epochs at least 0"),
        ({"decay_epochs": None}, "needs config.schedule.decay_epochs or"),
        ({"decay_steps": 5}, "both given"),
        ({"decay_factor": 0.0}, "decay_factor must be above 0 and at most 1"),
        ({"name": "cosine", "final_learning_rate": 1.0}, "between 0 and the peak 0.045, not 1.0"),
    ],
)
def test_wrong_values_are_named(keys, sentence):
    with pytest.raises(ConfigError, match=sentence):
        make_schedule(_schedule(**keys), 10, 5.0)


def test_keys_of_other_schedules_are_not_read():
    make_schedule(_schedule(name="constant", decay_factor=-1.0, decay_steps=5), 10, 5.0)
