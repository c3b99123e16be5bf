"""TrivialAugment and RandAugment: random operations on each image, after its crop.

On the host, image by image, since an image takes one operation at a time: on the device, in one
program for all images, each of them pays for every operation. Processor time at 128 pixels, as a
share of a training step of MobileNetV2 0.5 in batches of 32 on 2 cores of an Intel Xeon:
TrivialAugment 0.5 % here and 32 % in JAX (one affine map, one blend, one table of pixel values for
all operations), RandAugment of two layers 0.8 %.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import ml_collections

from mobilenet.data import policy_operations as operations
from mobilenet.data.images import Image
from mobilenet.errors import ConfigError

POLICIES = ("none", "trivial_wide", "rand")

# torchvision transforms/autoaugment.py: num_magnitude_bins.
NUM_BINS = 31


class Choice(NamedTuple):
    """An operation, and what its magnitude is in each bin."""

    apply: Callable[[Image, float], Image]
    magnitudes: tuple[float, ...]  # NUM_BINS of them
    is_signed: bool  # then the magnitude is negative half of the time


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
        return _apply(choice, image, int(numbers[1] * NUM_BINS), numbers[2])


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
        for layer in range(self.layers):
            which, sign = numbers[2 * layer : 2 * layer + 2]
            image = _apply(choices[int(which * len(choices))], image, self.magnitude, sign)
        return image


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
        shear=0.3,
        move_x=move * width,
        move_y=move * height,
        degrees=30.0,
        enhance=0.9,
        bits=4,
    )


def _choices(
    *, shear: float, move_x: float, move_y: float, degrees: float, enhance: float, bits: int
) -> tuple[Choice, ...]:
    """The operations with their strongest magnitudes; of 8 bits, `bits` are lost at most."""
    shares = [index / (NUM_BINS - 1) for index in range(NUM_BINS)]

    def signed(apply: Callable[[Image, float], Image], strongest: float) -> Choice:
        return Choice(apply, tuple(strongest * share for share in shares), True)

    def fixed(apply: Callable[[Image, float], Image], magnitudes: Sequence[float]) -> Choice:
        return Choice(apply, tuple(magnitudes), False)

    nothing = [0.0] * NUM_BINS
    return (
        fixed(operations.identity, nothing),
        signed(operations.shear_x, shear),
        signed(operations.shear_y, shear),
        signed(operations.translate_x, move_x),
        signed(operations.translate_y, move_y),
        signed(operations.rotate, degrees),
        signed(operations.brightness, enhance),
        signed(operations.color, enhance),
        signed(operations.contrast, enhance),
        signed(operations.sharpness, enhance),
        fixed(operations.posterize, [8 - round(bits * share) for share in shares]),
        fixed(operations.solarize, [255 - 255 * share for share in shares]),
        fixed(operations.auto_contrast, nothing),
        fixed(operations.equalize, nothing),
    )


def _apply(choice: Choice, image: Image, index: int, sign: float) -> Image:
    magnitude = choice.magnitudes[index]
    return choice.apply(image, -magnitude if choice.is_signed and sign < 0.5 else magnitude)
