"""Random changes of colour, on the device."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# slim/preprocessing/inception_preprocessing.py, distort_color, with fast_mode: 32. / 255. and
# (0.5, 1.5), here in pixel values 0..255.
MAX_BRIGHTNESS = 32.0
SATURATION = (0.5, 1.5)


def distort_color(images: Float[Array, "n h w 3"], key: Array) -> Float[Array, "n h w 3"]:
    """Slim's fast mode: brightness moves by up to 32, then saturation is scaled by 0.5 to 1.5.

    Each image draws both numbers, uniformly, for itself. The order is always this one:
    `distort_color` of tensorflow/models slim/preprocessing/inception_preprocessing.py knows two,
    and `preprocess_for_train` chooses at random among `num_distort_cases = 1 if fast_mode else 4`.
    Between the two nothing is clipped, as there.

    Args:
      images: float32 pixel values 0..255.
      key: of this batch.

    Returns:
      Float32 pixel values 0..255.
    """
    brightness_key, saturation_key = jax.random.split(key)
    shape = (images.shape[0], 1, 1, 1)
    shift = jax.random.uniform(
        brightness_key, shape, jnp.float32, minval=-MAX_BRIGHTNESS, maxval=MAX_BRIGHTNESS
    )
    low, high = SATURATION
    scale = jax.random.uniform(saturation_key, shape, jnp.float32, minval=low, maxval=high)
    return jnp.clip(scale_saturation(images + shift, scale), 0, 255)


def scale_saturation(
    images: Float[Array, "n h w 3"], scale: Float[Array, "n 1 1 1"]
) -> Float[Array, "n h w 3"]:
    """Multiplies the saturation of HSV, at most to 1, and keeps hue and value.

    As tf.image.adjust_saturation. With hue and value fixed, the distance of every channel from the
    largest is in proportion to the saturation, so that there is no need to convert to HSV.
    """
    value = images.max(-1, keepdims=True)
    spread = value - images.min(-1, keepdims=True)
    # saturation = spread / value: its largest possible factor is value / spread. Gray has none,
    # and neither has what is darker than black.
    limit = jnp.maximum(value, 0) / jnp.where(spread > 0, spread, 1)
    return value - (value - images) * jnp.minimum(scale, limit)
