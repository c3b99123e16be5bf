"""What happens to images on the device: random changes in training, and normalisation."""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import ml_collections
from jaxtyping import Array, Float, UInt8

from mobilenet.errors import ConfigError
from mobilenet.tasks.classification.mixing import Mixture, mix
from mobilenet.tasks.pixels.color import distort_color
from mobilenet.tasks.pixels.erasing import random_erase

COLORS = ("none", "slim_fast")

# Keys of a step, by what they decide. Adding at the end leaves what the others decide as it is.
_KEYS = ("flip", "dropout", "color", "erase", "mix")

Batch = Mapping[str, Array]  # uint8 images[n h w 3], int32 labels[n], float32 mask[n]
Keys = Mapping[str, Array]
# Normalised images, and what their labels are a mixture of, if they are one.
Augment = Callable[[Batch, Keys], tuple[Float[Array, "n h w 3"], Mixture | None]]


def split_key(key: Array) -> Keys:
    """Returns the keys for all that is random about one batch, the network's dropout included."""
    return dict(zip(_KEYS, jax.random.split(key, len(_KEYS)), strict=True))


def make_augment(config: ml_collections.ConfigDict) -> Augment:
    """Returns the function (batch, keys) -> (images, mixture) that `config.augment` describes.

    In this order: flip, colour, erasing, mixup or cutmix, normalisation. What is off costs nothing.
    (`config.augment.policy` comes first of all and is not here: see `mobilenet.data.policy`.)

    Raises:
      ConfigError: a value that cannot work.
    """
    _check(config)

    def augment(batch: Batch, keys: Keys) -> tuple[Float[Array, "n h w 3"], Mixture | None]:
        images, mixture = batch["images"], None
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
        if config.mixup_alpha or config.cutmix_alpha:
            images, mixture = mix(
                images,
                batch["labels"],
                batch["mask"],
                keys["mix"],
                mixup_alpha=config.mixup_alpha,
                cutmix_alpha=config.cutmix_alpha,
                probability=config.mix_probability,
            )
        return normalize(images, config.mean, config.stddev), mixture

    return augment


def normalize(
    images: UInt8[Array, "n h w 3"] | Float[Array, "n h w 3"],
    mean: Sequence[float],
    stddev: Sequence[float],
) -> Float[Array, "n h w 3"]:
    """Returns float32 (images - mean) / stddev, both given per channel in pixel values 0..255."""
    center, scale = (jnp.asarray(v, jnp.float32)[None, None, None] for v in (mean, stddev))
    return (images.astype(jnp.float32) - center) / scale


def random_flip(images: UInt8[Array, "n h w c"], key: Array) -> UInt8[Array, "n h w c"]:
    """Mirrors each image left to right with probability one half."""
    chosen = jax.random.bernoulli(key, shape=(images.shape[0], 1, 1, 1))
    return jnp.where(chosen, images[:, :, ::-1], images)


def _check(config: ml_collections.ConfigDict) -> None:
    if config.color not in COLORS:
        raise ConfigError(
            f"config.augment.color is {config.color!r}: it must be {' or '.join(COLORS)}."
        )
    for key in ("mixup_alpha", "cutmix_alpha"):
        if not config[key] >= 0:
            raise ConfigError(
                f"config.augment.{key} is {config[key]}: it must be positive, or 0 for none."
            )
    for key in ("mix_probability", "erase_probability"):
        if not 0 <= config[key] <= 1:
            raise ConfigError(f"config.augment.{key} is {config[key]}: it must be from 0 to 1.")
