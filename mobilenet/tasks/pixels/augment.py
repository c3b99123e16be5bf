"""What happens to images on the device: random changes in training, and normalisation."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import ml_collections
from jaxtyping import Array, Float, UInt8

from mobilenet.errors import ConfigError
from mobilenet.tasks.pixels.color import distort_color
from mobilenet.tasks.pixels.erasing import random_erase
from mobilenet.tasks.task import Keys

COLORS = ("none", "slim_fast")

Augment = Callable[[UInt8[Array, "n h w 3"], Keys], Float[Array, "n h w 3"]]


def make_augment(config: ml_collections.ConfigDict) -> Augment:
    """Returns the function (images, keys) -> images of `config.augment`, in pixel values 0..255.

    In this order: flip, colour, erasing. What is off costs nothing. (`config.augment.policy` comes
    first of all and is not here: see `mobilenet.data.policy`.)

    Raises:
      ConfigError: a value that cannot work.
    """
    if config.color not in COLORS:
        raise ConfigError(
            f"config.augment.color is {config.color!r}: it must be {' or '.join(COLORS)}."
        )
    check_share(config, "erase_probability")

    def augment(images: UInt8[Array, "n h w 3"], keys: Keys) -> Float[Array, "n h w 3"]:
        if config.flip:
            images = random_flip(images, keys["flip"])
        # Nothing is rounded to whole pixel values from here on.
        images = images.astype(jnp.float32)
        if config.color == "slim_fast":
            images = distort_color(images, keys["color"])
        if config.erase_probability:
            images = random_erase(
                images, keys["erase"], probability=config.erase_probability, fill=config.mean
            )
        return images

    return augment


def random_flip(images: UInt8[Array, "n h w c"], key: Array) -> UInt8[Array, "n h w c"]:
    """Mirrors each image left to right with probability one half."""
    chosen = jax.random.bernoulli(key, shape=(images.shape[0], 1, 1, 1))
    return jnp.where(chosen, images[:, :, ::-1], images)


def check_share(config: ml_collections.ConfigDict, key: str) -> None:
    """Raises ConfigError unless a key of `config.augment` is a share."""
    if not 0 <= config[key] <= 1:
        raise ConfigError(f"config.augment.{key} is {config[key]}: it must be from 0 to 1.")
