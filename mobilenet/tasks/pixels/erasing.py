"""Random erasing, on the device (Zhong et al. 2017, arXiv:1708.04896)."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

# torchvision transforms/transforms.py, RandomErasing: its defaults, and its number of attempts.
AREA = (0.02, 0.33)  # share of the image
ASPECT = (0.3, 3.3)  # height / width
_ATTEMPTS = 10


def random_erase(
    images: Float[Array, "n h w 3"], key: Array, *, probability: float, fill: Sequence[float]
) -> Float[Array, "n h w 3"]:
    """Fills a random rectangle of some images with one colour.

    As torchvision's RandomErasing: the area is uniform in `AREA`, the aspect log-uniform in
    `ASPECT`, and the first of ten rectangles that is smaller than the image on both axes is taken
    (if none is, nothing is erased).

    Args:
      images: pixel values.
      key: of this batch.
      probability: that an image is changed.
      fill: the colour. torchvision erases after it normalises, with 0: that is the mean.
    """
    number, height, width = images.shape[:3]
    chosen_key, area_key, aspect_key, top_key, left_key = jax.random.split(key, 5)
    chosen = jax.random.bernoulli(chosen_key, probability, (number,))

    tries = (number, _ATTEMPTS)
    low, high = AREA
    area = jax.random.uniform(area_key, tries, jnp.float32, minval=low, maxval=high)
    area = area * (height * width)
    low, high = map(math.log, ASPECT)
    aspect = jnp.exp(jax.random.uniform(aspect_key, tries, jnp.float32, minval=low, maxval=high))
    heights, widths = jnp.round(jnp.sqrt(area * aspect)), jnp.round(jnp.sqrt(area / aspect))
    fits = (heights < height) & (widths < width)
    first = fits.argmax(1, keepdims=True)
    rows, columns = (jnp.take_along_axis(x, first, 1)[:, 0] for x in (heights, widths))

    top = jnp.floor(jax.random.uniform(top_key, (number,), jnp.float32) * (height - rows + 1))
    left = jnp.floor(jax.random.uniform(left_key, (number,), jnp.float32) * (width - columns + 1))
    erased = (
        between(height, top, top + rows)[:, :, None] & between(width, left, left + columns)[:, None]
    )
    erased &= (chosen & fits.any(1))[:, None, None]
    color = jnp.asarray(fill, images.dtype)[None, None, None]
    return jnp.where(erased[..., None], color, images)


def between(
    length: int, start: Float[Array, " n"] | Int[Array, " n"], stop: Array
) -> Bool[Array, "n {length}"]:
    """Which of the places 0 to length - 1 are at least `start` and below `stop`."""
    places = jnp.arange(length, dtype=start.dtype)[None]
    return (places >= start[:, None]) & (places < stop[:, None])
