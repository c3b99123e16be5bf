"""The exponential moving average of the weights, whose copy is evaluated in their place."""

from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike

from mobilenet.errors import ConfigError

Tree = TypeVar("Tree")


def check_ema_decay(decay: object) -> None:
    """Raises ConfigError unless `config.ema_decay` is None or a number in [0, 1)."""
    is_number = isinstance(decay, (int, float)) and not isinstance(decay, bool)
    if decay is not None and not (is_number and 0 <= decay < 1):  # type: ignore[operator]
        raise ConfigError(
            f"config.ema_decay must be at least 0 and below 1, or None for no moving average, "
            f"not {decay!r}."
        )


def update_ema(ema: Tree, new: Tree, decay: float, step: ArrayLike) -> Tree:
    """Moves the average towards the new values: ema + (1 - d) * (new - ema).

    d = min(decay, (1 + step) / (10 + step)), so that the initial weights are soon forgotten. This
    is TensorFlow's tf.train.ExponentialMovingAverage with `num_updates`, which slim gives the
    global step (train_image_classifier.py, `--moving_average_decay`). slim averages all model
    variables, so the BatchNorm statistics too.

    Args:
      ema: any pytree of float arrays, such as (params, batch_stats).
      new: the values after the step, a tree of the same structure, shapes and dtypes.
      decay: in [0, 1); 0.9999 in slim's MobileNetV2 recipe.
      step: number of steps finished before this one, an integer scalar; 0 at the first.

    Returns:
      The new average, with the dtypes of `ema`.
    """
    # 1 - d without the cancellation of float32, which makes 1.00017e-4 of 1 - 0.9999.
    share = jnp.maximum(1 - decay, 9 / (10 + jnp.asarray(step, jnp.float32)))
    return jax.tree.map(lambda old, value: old + share.astype(old.dtype) * (value - old), ema, new)
