"""Crops for training and evaluation.

A crop is chosen before the image is decoded, by the image's height and width and, for training, by
numbers uniform in [0, 1): the image then needs decoding no further down than the crop goes. It is
plain numbers, so that boxes and masks can follow the pixels.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float

from mobilenet.data.images import Image, resize

# Heights and widths come before widths, tops before lefts; in pixels.
Size = tuple[int, int]
Rectangle = tuple[int, int, int, int]

# torchvision's RandomResizedCrop tries as often before it falls back.
_INCEPTION_ATTEMPTS = 10

# As many uniform numbers as a crop may take: two for each attempt, and two for the place.
MAX_NUMBERS = 2 * _INCEPTION_ATTEMPTS + 2


@dataclasses.dataclass(frozen=True)
class Crop:
    """What becomes of one image: a part of it is resized, and a window of that is the output.

    Attributes:
      size: height and width of the output.
      part: top, left, height and width of the part of the image.
      resized: height and width that the part is resized to.
      offset: top and left of the output in the resized part. Where it reaches outside it is black.
      interpolation: a key of `INTERPOLATIONS`; of no effect where the part keeps its size.
    """

    size: Size
    part: Rectangle
    resized: Size
    offset: tuple[int, int] = (0, 0)
    interpolation: str = "bilinear"

    @property
    def rows(self) -> int:
        """How many rows of the image `write` needs, from the top."""
        top, _, height, _ = self.part
        return top + height

    def write(self, image: Image, out: Image) -> None:
        """Fills `out`, contiguous and of `size`.

        The image has the width, and at least the rows, that the crop was chosen for.
        """
        top, left, height, width = self.part
        image = image[top : top + height, left : left + width]
        if self.resized == self.size and self.offset == (0, 0):
            resize(image, *self.size, self.interpolation, out=out)
            return
        image = resize(image, *self.resized, self.interpolation)
        (source_rows, rows), (source_columns, columns) = map(
            _overlap, self.offset, self.size, self.resized
        )
        out[...] = 0
        out[rows, columns] = image[source_rows, source_columns]

    def to_output(self, points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Returns where points (x, y) of the image lie in the output, perhaps outside it.

        Both are measured in pixels from the upper left corner, not from the centre of the first
        pixel: the image is from (0, 0) to (width, height), as for the boxes of COCO.
        """
        top, left, height, width = self.part
        scale = np.array([self.resized[1] / width, self.resized[0] / height])
        return (points - np.array([left, top])) * scale - np.array(self.offset[::-1])


def inception_crop(
    height: int,
    width: int,
    numbers: Sequence[float],
    *,
    size: Size,
    area: tuple[float, float],
    aspect: tuple[float, float],
    interpolation: str,
) -> Crop:
    """A rectangle of random area, aspect and place, resized to the output.

    The area is uniform in `area` (shares of the image), as in GoogLeNet (Szegedy et al. 2014,
    section 6); the aspect (width / height) is log-uniform in `aspect`, so that a ratio and its
    inverse are equally likely, as in torchvision's RandomResizedCrop. If ten rectangles in a row do
    not fit, the largest centred one within `aspect` is taken, as torchvision does.
    """
    rectangle = _choose_rectangle(height, width, iter(numbers), area, aspect)
    return Crop(size, rectangle, size, interpolation=interpolation)


def _choose_rectangle(
    height: int,
    width: int,
    numbers: Iterator[float],
    area: tuple[float, float],
    aspect: tuple[float, float],
) -> Rectangle:
    low, high = math.log(aspect[0]), math.log(aspect[1])
    for _ in range(_INCEPTION_ATTEMPTS):
        target = height * width * (area[0] + (area[1] - area[0]) * next(numbers))
        ratio = math.exp(low + (high - low) * next(numbers))
        crop_width = max(round(math.sqrt(target * ratio)), 1)
        crop_height = max(round(math.sqrt(target / ratio)), 1)
        if crop_width <= width and crop_height <= height:
            top = int((height - crop_height + 1) * next(numbers))
            left = int((width - crop_width + 1) * next(numbers))
            return top, left, crop_height, crop_width
    crop_width = max(min(width, round(height * aspect[1])), 1)
    crop_height = max(min(height, round(width / aspect[0])), 1)
    return (height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width


def pad_crop(
    height: int,
    width: int,
    numbers: Sequence[float],
    *,
    size: Size,
    padding: int,
    interpolation: str,
) -> Crop:
    """A random window of the image padded with `padding` black pixels on each side.

    He et al. 2016 (arXiv:1512.03385, section 4.2) for CIFAR-10, with padding 4. An image of another
    size is first resized to that of the output.
    """
    top, left = (int((2 * padding + 1) * number) - padding for number in numbers[:2])
    return Crop(size, (0, 0, height, width), size, (top, left), interpolation)


def squash(
    height: int, width: int, numbers: Sequence[float] = (), *, size: Size, interpolation: str
) -> Crop:
    """The whole image, resized to the output whatever its aspect."""
    del numbers
    return Crop(size, (0, 0, height, width), size, interpolation=interpolation)


def center_crop(
    height: int,
    width: int,
    numbers: Sequence[float] = (),
    *,
    size: Size,
    fraction: float,
    interpolation: str,
) -> Crop:
    """Resizes until the image just covers round(size / fraction), then takes the centre.

    For a square, torchvision's Resize of the short side and CenterCrop, with fraction 224 / 256 =
    0.875 for the weights of MobileNetV2; the longer of both sides is rounded down and the offsets
    are rounded, as there.
    """
    del numbers
    covered_height, covered_width = (round(length / fraction) for length in size)
    if height * covered_width <= width * covered_height:
        resized = (covered_height, int(covered_height * width / height))
    else:
        resized = (int(covered_width * height / width), covered_width)
    top, left = (round((resized[axis] - size[axis]) / 2) for axis in (0, 1))
    return Crop(size, (0, 0, height, width), resized, (top, left), interpolation)


def window_crop(height: int, width: int, numbers: Sequence[float] = (), *, size: Size) -> Crop:
    """The centre of the image as it is, not resized; black where the image is smaller.

    torchvision's CenterCrop alone. For images that were resized when they were stored.
    """
    del numbers
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    shown = (min(size[0], height), min(size[1], width))
    part = (max(top, 0), max(left, 0), *shown)
    return Crop(size, part, shown, (min(top, 0), min(left, 0)))


def central_fraction_crop(
    height: int,
    width: int,
    numbers: Sequence[float] = (),
    *,
    size: Size,
    fraction: float,
    interpolation: str,
) -> Crop:
    """Keeps the central `fraction` of both sides, then resizes to the output.

    What slim evaluates with, at 0.875 (tensorflow/models slim/preprocessing/
    inception_preprocessing.py, preprocess_for_eval); the rounding is tf.image.central_crop's.
    """
    del numbers
    top, left = int((height - height * fraction) / 2), int((width - width * fraction) / 2)
    centre = (top, left, height - 2 * top, width - 2 * left)
    return Crop(size, centre, size, interpolation=interpolation)


def _overlap(offset: int, length: int, available: int) -> tuple[slice, slice]:
    """Where a window at `offset` meets an image's `available` pixels: there, and in the window."""
    start, stop = max(offset, 0), max(min(offset + length, available), 0)
    start = min(start, stop)
    return slice(start, stop), slice(start - offset, stop - offset)
