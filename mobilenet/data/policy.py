"""TrivialAugment and RandAugment: random operations on each image, after its crop.

On the host, image by image, since an image takes one operation at a time: on the device, in one
program for all images, each of them pays for every operation. Processor time at 128 pixels, as a
share of a training step of MobileNetV2 0.5 in batches of 32 on 2 cores of an Intel Xeon:
TrivialAugment 1.3 % here and 32 % in JAX (one affine map, one blend, one table of pixel values for
all operations), RandAugment of two layers 2 %. At 224 pixels they take 0.5 and 1.1 ms an image.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import ml_collections
import numpy as np
import PIL.Image
import PIL.ImageEnhance
import PIL.ImageOps

from mobilenet.data.images import Image
from mobilenet.errors import ConfigError

POLICIES = ("none", "trivial_wide", "rand")

# torchvision transforms/autoaugment.py: num_magnitude_bins.
NUM_BINS = 31

_BILINEAR = PIL.Image.Resampling.BILINEAR


class Choice(NamedTuple):
    """An operation, and what its magnitude is in each bin."""

    name: str  # a key of `OPERATIONS`
    magnitudes: tuple[float, ...]  # NUM_BINS of them
    is_signed: bool  # then the magnitude is negative half of the time


def _warp(
    picture: PIL.Image.Image,
    x: tuple[float, float, float] = (1, 0, 0),
    y: tuple[float, float, float] = (0, 1, 0),
    resampling: PIL.Image.Resampling = _BILINEAR,
) -> PIL.Image.Image:
    """Resamples by the affine map from the places of the result to those of the picture."""
    return picture.transform(picture.size, PIL.Image.Transform.AFFINE, (*x, *y), resampling)


def _move(picture: PIL.Image.Image, right: int, down: int) -> PIL.Image.Image:
    # By whole pixels there is nothing between two to interpolate, and this is 10 times as fast.
    return _warp(picture, (1, 0, -right), (0, 1, -down), PIL.Image.Resampling.NEAREST)


# Those of torchvision (transforms/autoaugment.py, `_apply_op`) on Pillow's images, with bilinear
# interpolation and black outside: shears keep the upper left corner, movements are of whole pixels,
# rotations are counter-clockwise about the centre.
OPERATIONS: dict[str, Callable[[PIL.Image.Image, float], PIL.Image.Image]] = {
    "identity": lambda picture, _: picture,
    "shear_x": lambda picture, slope: _warp(picture, x=(1, slope, 0)),
    "shear_y": lambda picture, slope: _warp(picture, y=(slope, 1, 0)),
    "translate_x": lambda picture, pixels: _move(picture, int(pixels), 0),
    "translate_y": lambda picture, pixels: _move(picture, 0, int(pixels)),
    "rotate": lambda picture, degrees: picture.rotate(degrees, _BILINEAR),
    "brightness": lambda picture, more: PIL.ImageEnhance.Brightness(picture).enhance(1 + more),
    "color": lambda picture, more: PIL.ImageEnhance.Color(picture).enhance(1 + more),
    "contrast": lambda picture, more: PIL.ImageEnhance.Contrast(picture).enhance(1 + more),
    "sharpness": lambda picture, more: PIL.ImageEnhance.Sharpness(picture).enhance(1 + more),
    "posterize": lambda picture, bits: PIL.ImageOps.posterize(picture, int(bits)),
    "solarize": lambda picture, threshold: PIL.ImageOps.solarize(picture, math.ceil(threshold)),
    "auto_contrast": lambda picture, _: PIL.ImageOps.autocontrast(picture),
    "equalize": lambda picture, _: PIL.ImageOps.equalize(picture),
}


@dataclasses.dataclass(frozen=True)
class TrivialAugmentWide:
    """One operation with a magnitude, each uniformly chosen.

    Müller and Hutter 2021 (arXiv:2103.10158, table of the wide space), as torchvision's
    TrivialAugmentWide. Images move by up to 32 pixels whatever their size.
    """

    @property
    def numbers(self) -> int:
        """How many uniform numbers an image takes."""
        return 3

    def __call__(self, image: Image, numbers: Sequence[float]) -> Image:
        """Returns the image changed by a choice that `numbers`, uniform in [0, 1), make."""
        choices = trivial_wide_choices()
        choice = choices[int(numbers[0] * len(choices))]
        picture = PIL.Image.fromarray(image)
        return np.asarray(_apply(choice, picture, int(numbers[1] * NUM_BINS), numbers[2]))


@dataclasses.dataclass(frozen=True)
class RandAugment:
    """Several operations one after the other, all with the magnitude of one bin.

    Cubuk et al. 2019 (arXiv:1909.13719), as torchvision's RandAugment.
    """

    layers: int
    magnitude: int  # the bin, 0 to 30

    @property
    def numbers(self) -> int:
        """How many uniform numbers an image takes."""
        return 2 * self.layers

    def __call__(self, image: Image, numbers: Sequence[float]) -> Image:
        """Returns the image changed by the choices that `numbers`, uniform in [0, 1), make."""
        choices = rand_choices(*image.shape[:2])
        picture = PIL.Image.fromarray(image)
        for layer in range(self.layers):
            which, sign = numbers[2 * layer : 2 * layer + 2]
            picture = _apply(choices[int(which * len(choices))], picture, self.magnitude, sign)
        return np.asarray(picture)


Policy = TrivialAugmentWide | RandAugment


def make_policy(config: ml_collections.ConfigDict) -> Policy | None:
    """Returns the policy that `config.augment` names; None for none.

    Raises:
      ConfigError: a value that cannot work.
    """
    if config.policy not in POLICIES:
        raise ConfigError(
            f"config.augment.policy is {config.policy!r}: it must be {' or '.join(POLICIES)}."
        )
    if config.policy == "none":
        return None
    if config.policy == "trivial_wide":
        return TrivialAugmentWide()
    if config.rand_layers < 1:
        raise ConfigError(
            f"config.augment.rand_layers is {config.rand_layers}: it must be at least 1."
        )
    if not 0 <= config.rand_magnitude < NUM_BINS:
        raise ConfigError(
            f"config.augment.rand_magnitude is {config.rand_magnitude}: it must be from 0 to "
            f"{NUM_BINS - 1}."
        )
    return RandAugment(config.rand_layers, config.rand_magnitude)


@functools.cache
def trivial_wide_choices() -> tuple[Choice, ...]:
    """Returns the operations of torchvision's TrivialAugmentWide with its magnitudes."""
    return _choices(shear=0.99, move_x=32.0, move_y=32.0, degrees=135.0, enhance=0.99, bits=6)


@functools.cache
def rand_choices(height: int, width: int) -> tuple[Choice, ...]:
    """Returns the operations of torchvision's RandAugment with its magnitudes, for a size."""
    move = 150 / 331
    return _choices(
        shear=0.3, move_x=move * width, move_y=move * height, degrees=30.0, enhance=0.9, bits=4
    )


def _choices(
    *, shear: float, move_x: float, move_y: float, degrees: float, enhance: float, bits: int
) -> tuple[Choice, ...]:
    """The operations with their strongest magnitudes; of 8 bits, `bits` are lost at most."""
    strongest = {
        "shear_x": shear,
        "shear_y": shear,
        "translate_x": move_x,
        "translate_y": move_y,
        "rotate": degrees,
        **dict.fromkeys(("brightness", "color", "contrast", "sharpness"), enhance),
    }
    shares = [index / (NUM_BINS - 1) for index in range(NUM_BINS)]
    signed = {name: [most * share for share in shares] for name, most in strongest.items()}
    unsigned: dict[str, list[float]] = {
        "posterize": [8 - round(bits * share) for share in shares],
        "solarize": [255 - 255 * share for share in shares],
    }
    nothing = [0.0] * NUM_BINS
    magnitudes = signed | unsigned
    return tuple(
        Choice(name, tuple(magnitudes.get(name, nothing)), name in signed) for name in OPERATIONS
    )


def _apply(choice: Choice, picture: PIL.Image.Image, index: int, sign: float) -> PIL.Image.Image:
    magnitude = choice.magnitudes[index]
    if choice.is_signed and sign < 0.5:
        magnitude = -magnitude
    return OPERATIONS[choice.name](picture, magnitude)
