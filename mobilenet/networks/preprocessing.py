"""How a network wants to see its images."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mobilenet.config import size_of
from mobilenet.errors import UserError
from mobilenet.runtime.formatting import format_size


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """What becomes of an image before the network; part of what its weights mean.

    Attributes:
      mean: per channel, of pixel values in 0..255, subtracted first.
      stddev: per channel, divided by afterwards.
      resolution: pixels, of a square input, or its (height, width).
      eval_crop, eval_fraction, interpolation: the keys of `config.data` (mobilenet/config.py).
    """

    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    stddev: tuple[float, float, float] = (127.5, 127.5, 127.5)
    resolution: int | tuple[int, int] = 224
    eval_crop: str = "central_fraction"
    eval_fraction: float = 0.875
    interpolation: str = "bilinear"

    def describe(self) -> str:
        """Returns all of it in a few words."""
        size = format_size(self.resolution)
        if self.eval_crop == "center":
            sides = size_of(self.resolution)
            cut = tuple(round(side / self.eval_fraction) for side in sides)
            before = f"short side {cut[0]}" if cut[0] == cut[1] else f"filled {format_size(cut)}"
            crop = f"{before}, centre {size}"
        elif self.eval_crop == "window":
            crop = f"centre {size} of the image as it is"
        else:
            crop = f"central {self.eval_fraction:g} of both sides, squeezed to {size}"
        mean, stddev = (", ".join(f"{x:g}" for x in v) for v in (self.mean, self.stddev))
        return f"{crop}, {self.interpolation}, (pixels - [{mean}]) / [{stddev}]"


# Colours may be changed, and images not be photographs: what is so many times too large is pixels.
_FAR = 10

# slim's inception preprocessing: images of [-1, 1] (preprocessing/inception_preprocessing.py).
SLIM = Preprocessing()

# ImageNet's own mean and standard deviation, as torchvision and timm have them.
IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_STDDEV = (0.229 * 255, 0.224 * 255, 0.225 * 255)


def normalize(
    images: Array, mean: Sequence[float], stddev: Sequence[float]
) -> Float[Array, "n h w 3"]:
    """Returns float32 (images - mean) / stddev, both given per channel in pixel values 0..255."""
    center, scale = (jnp.asarray(v, jnp.float32)[None, None, None] for v in (mean, stddev))
    return (images.astype(jnp.float32) - center) / scale


def check_range(images: Array, preprocessing: Preprocessing) -> None:
    """Refuses float images that are pixels which nobody scaled; inside `jit` nobody can tell.

    Raises:
      UserError: a value is far outside what the preprocessing makes of pixels from 0 to 255.
    """
    if isinstance(images, jax.core.Tracer) or not images.size:
        return
    ends = [
        abs(end - mean) / stddev
        for mean, stddev in zip(preprocessing.mean, preprocessing.stddev, strict=True)
        for end in (0, 255)
    ]
    # By NumPy: inside `jit` an operation of JAX makes a tracer even of a constant.
    largest = float(np.abs(np.asarray(images)).max())
    if largest > _FAR * max(ends):
        raise UserError(
            f"The images hold {largest:g}, and pixels scaled for this network are at most "
            f"{max(ends):.2f}: pass pixels from 0 to 255 in an integer type, such as uint8, or "
            "scale them as model.preprocessing says."
        )
