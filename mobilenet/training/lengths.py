"""Lengths with units: the one place where epochs become steps.

A length is a pair of config keys, `<name>_epochs` and `<name>_steps`, of which at most one is set.
An epoch is one pass over the training images: `num_examples / batch_size` steps, not rounded,
because batches straddle epochs. The idea is big_vision's (`u.steps`).
"""

import math

import ml_collections

from mobilenet.errors import ConfigError


def resolve_steps(
    section: ml_collections.ConfigDict,
    name: str,
    *,
    within: str,
    steps_per_epoch: float,
    allow_zero: bool = False,
) -> int | None:
    """Returns the length `name` of a config section in steps; None if neither key is set.

    The result is rounded to the nearest step and at least 1, so that no length vanishes on a small
    dataset.

    Args:
      section: holds the keys `<name>_epochs` and `<name>_steps`.
      name: what the length measures, such as "total" or "every".
      within: the section's own name in messages, such as "config.checkpoint".
      steps_per_epoch: num_examples / batch_size.
      allow_zero: whether 0, which is then returned as 0, has a meaning.

    Raises:
      ConfigError: both keys are set, or the value is not a number that makes sense.
    """
    epochs_key, steps_key = f"{within}.{name}_epochs", f"{within}.{name}_steps"
    epochs, steps = section[f"{name}_epochs"], section[f"{name}_steps"]
    if epochs is not None and steps is not None:
        raise ConfigError(
            f"{epochs_key}={epochs} and {steps_key}={steps} are both given, but a length has one "
            f"unit: set the other to None, with --{epochs_key}=None to count in steps or "
            f"--{steps_key}=None to count in epochs."
        )
    if epochs is None and steps is None:
        return None
    key, value = (epochs_key, epochs) if steps is None else (steps_key, steps)
    unit = "number of epochs" if steps is None else "whole number of steps"
    allowed = (int, float) if steps is None else int
    least = "at least 0" if allow_zero else "above 0"
    is_number = isinstance(value, allowed) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or value < 0 or (value == 0 and not allow_zero):
        raise ConfigError(f"{key} must be a {unit} {least}, or None, not {value!r}.")
    if value == 0:
        return 0
    return value if steps is not None else max(1, round(value * steps_per_epoch))
