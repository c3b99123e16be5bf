"""Epochs become steps in one place, and a wrong length is one clear sentence."""

import math

import pytest
from absl import flags
from hypothesis import given
from hypothesis import strategies as st
from ml_collections import config_flags
from ml_collections.config_dict import ConfigDict

from mobilenet import config as base
from mobilenet.errors import ConfigError, UserError
from mobilenet.training.lengths import resolve_steps


def _resolve(epochs, steps, *, steps_per_epoch=10.0, allow_zero=False):
    section = ConfigDict({"every_epochs": epochs, "every_steps": steps})
    return resolve_steps(
        section,
        "every",
        within="config.checkpoint",
        steps_per_epoch=steps_per_epoch,
        allow_zero=allow_zero,
    )


@pytest.mark.parametrize(
    ("epochs", "steps", "allow_zero", "expected"),
    [
        (None, None, False, None),
        (None, 7, False, 7),
        (2, None, False, 20),
        (0.26, None, False, 3),
        (0.001, None, False, 1),  # never vanishes
        (0.0, None, True, 0),
        (None, 0, True, 0),
    ],
)
def test_resolves_to_whole_steps(epochs, steps, allow_zero, expected):
    assert _resolve(epochs, steps, allow_zero=allow_zero) == expected


def test_epochs_are_not_rounded_to_whole_steps_first():
    # ImageNet at batch 96: 13345.49 steps an epoch, so 300 epochs are 300 * .49 = 147 steps more
    # than 300 times 13345.
    steps = _resolve(300.0, None, steps_per_epoch=1_281_167 / 96)
    assert steps == round(300 * 1_281_167 / 96) == 300 * 13345 + 147


_EPOCHS = r"config\.checkpoint\.every_epochs must be a number of epochs above 0"
_STEPS = "every_steps must be a whole number of steps above 0"


@pytest.mark.parametrize(
    ("epochs", "steps", "allow_zero", "message"),
    [
        *(
            (value, None, False, _EPOCHS)
            for value in (0, -1.0, math.nan, math.inf, "a", True, (1.0,))
        ),
        *((None, value, False, f"{_STEPS}.*{value!r}") for value in (0, -3, 5.5, "none", False)),
        (-1, None, True, "at least 0"),
    ],
)
def test_refuses_nonsense(epochs, steps, allow_zero, message):
    with pytest.raises(ConfigError, match=message):
        _resolve(epochs, steps, allow_zero=allow_zero)


@given(st.floats(1e-6, 1e4), st.floats(1e-2, 1e6))
def test_epochs_are_at_most_half_a_step_off_but_never_zero(epochs, steps_per_epoch):
    steps = _resolve(epochs, None, steps_per_epoch=steps_per_epoch)
    exact = epochs * steps_per_epoch
    assert steps >= 1
    assert abs(steps - exact) <= 0.5 or (steps == 1 and exact < 0.5)


def _from_command_line(*arguments):
    values = flags.FlagValues()
    argv = ["train.py", *arguments]
    holder = config_flags.DEFINE_config_dict(
        "config", base.get_config(), flag_values=values, sys_argv=argv
    )
    values(argv)
    return holder.value


def test_the_message_about_two_units_names_flags_that_work():
    both = _from_command_line("--config.checkpoint.every_steps=50")
    arguments = {"within": "config.checkpoint", "steps_per_epoch": 10.0}
    with pytest.raises(UserError) as raised:
        resolve_steps(both.checkpoint, "every", **arguments)
    advice = "--config.checkpoint.every_epochs=None"
    assert advice in str(raised.value)
    mended = _from_command_line("--config.checkpoint.every_steps=50", advice)
    assert resolve_steps(mended.checkpoint, "every", **arguments) == 50


@pytest.mark.parametrize(
    ("section", "name"),
    [
        (None, "total"),
        ("schedule", "warmup"),
        ("schedule", "decay"),
        ("evaluation", "every"),
        ("checkpoint", "every"),
    ],
)
def test_every_length_of_the_config_can_change_its_unit_on_the_command_line(section, name):
    prefix = "config." if section is None else f"config.{section}."
    for ours, other in (("steps", "epochs"), ("epochs", "steps")):
        config = _from_command_line(f"--{prefix}{name}_{other}=None", f"--{prefix}{name}_{ours}=3")
        part = config if section is None else config[section]
        expected = 3 if ours == "steps" else 30
        assert resolve_steps(part, name, within="config", steps_per_epoch=10.0) == expected
