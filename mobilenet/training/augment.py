"""What happens to images on the device: normalisation, and random changes in training."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8


def normalize(
    images: UInt8[Array, "n h w 3"], mean: Sequence[float], stddev: Sequence[float]
) -> Float[Array, "n h w 3"]:
    """Returns float32 (images - mean) / stddev, both given per channel in pixel values 0..255."""
    center, scale = (jnp.asarray(v, jnp.float32)[None, None, None] for v in (mean, stddev))
    return (images.astype(jnp.float32) - center) / scale


def random_flip(images: UInt8[Array, "n h w c"], key: Array) -> UInt8[Array, "n h w c"]:
    """Mirrors each image left to right with probability one half."""
    chosen = jax.random.bernoulli(key, shape=(images.shape[0], 1, 1, 1))
    return jnp.where(chosen, images[:, :, ::-1], images)
