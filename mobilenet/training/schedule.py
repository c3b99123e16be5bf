"""Learning-rate schedules: the learning rate as a function of the number of finished steps.

The decay is counted from the end of the warm-up, as in big_vision (`create_learning_rate_schedule`)
and torchvision (references/classification/train.py, `SequentialLR`). A schedule reads only the
keys that it needs; the others may hold anything.
"""

import functools
import math
from collections.abc import Callable

import jax.numpy as jnp
import ml_collections
import optax
from jaxtyping import Array, ArrayLike, Float, Int

from mobilenet.errors import ConfigError
from mobilenet.training.lengths import resolve_steps

_NAMES = ("constant", "exponential", "cosine")


def make_schedule(
    schedule: ml_collections.ConfigDict, total_steps: int, steps_per_epoch: float
) -> optax.Schedule:
    """Builds the schedule that `config.schedule` describes.

    With a warm-up of W steps, step k (counted from 0) of the warm-up has (k + 1) / W of the peak:
    a linear rise from 0 whose first step already learns. big_vision has k / W and so wastes the
    first step; torchvision starts at 1 % of the peak and rises once an epoch.

    - `constant`: the peak to the end.
    - `exponential`: the peak times `decay_factor` to the power of the decay lengths passed, counted
      in whole ones if `staircase` (slim, train_image_classifier.py: tf.train.exponential_decay).
    - `cosine`: half a cosine wave from the peak to `final_learning_rate`, which would be reached at
      step `total_steps`, one after the last (Loshchilov and Hutter, 1608.03983, equation 5).

    Args:
      schedule: the section `config.schedule`.
      total_steps: length of the run.
      steps_per_epoch: num_examples / batch_size.

    Returns:
      A function from the number of finished steps, an integer scalar, to a float32 scalar.

    Raises:
      ConfigError: an unknown name, or a value that makes no sense.
    """
    if schedule.name not in _NAMES:
        raise ConfigError(
            f"config.schedule.name must be one of {', '.join(_NAMES)}, not {schedule.name!r}."
        )
    peak = schedule.learning_rate
    if not (peak > 0 and math.isfinite(peak)):
        raise ConfigError(f"config.schedule.learning_rate must be above 0, not {peak}.")
    resolve = functools.partial(
        resolve_steps, schedule, within="config.schedule", steps_per_epoch=steps_per_epoch
    )
    warmup_steps = resolve("warmup", allow_zero=True) or 0
    if warmup_steps >= total_steps:
        raise ConfigError(
            f"The warm-up of {warmup_steps} steps must be shorter than the run of {total_steps} "
            "steps: train longer, or shorten config.schedule.warmup_epochs or warmup_steps "
            "(0 is no warm-up)."
        )
    decay = _make_decay(schedule, total_steps - warmup_steps, lambda: resolve("decay"))

    def learning_rate(step: ArrayLike) -> Float[Array, ""]:
        step = jnp.asarray(step, jnp.int32)
        rate = decay(jnp.maximum(step - warmup_steps, 0))
        if warmup_steps:
            rate = rate * jnp.minimum((step + 1) / warmup_steps, 1.0)
        return jnp.asarray(rate, jnp.float32)

    return learning_rate


def _make_decay(
    schedule: ml_collections.ConfigDict, total_steps: int, decay_length: Callable[[], int | None]
) -> optax.Schedule:
    peak = schedule.learning_rate
    if schedule.name == "constant":
        return optax.constant_schedule(peak)
    if schedule.name == "cosine":
        final = schedule.final_learning_rate
        if not 0 <= final <= peak:
            raise ConfigError(
                f"config.schedule.final_learning_rate must be between 0 and the peak {peak}, "
                f"not {final}."
            )

        def cosine(step: Int[Array, ""]) -> Float[Array, ""]:
            wave = (1 + jnp.cos(math.pi * jnp.minimum(step / total_steps, 1.0))) / 2
            return final + (peak - final) * wave

        return cosine
    factor = schedule.decay_factor
    if not 0 < factor <= 1:
        raise ConfigError(
            f"config.schedule.decay_factor must be above 0 and at most 1, not {factor}."
        )
    decay_steps = decay_length()
    if decay_steps is None:
        raise ConfigError(
            "The exponential schedule needs config.schedule.decay_epochs or "
            "config.schedule.decay_steps: set one of them."
        )
    return optax.exponential_decay(peak, decay_steps, factor, staircase=schedule.staircase)
