"""Crops for training and evaluation.

A crop is chosen before the image is decoded, by the image's height and width and, for training, by
numbers uniform in [0, 1): the image then needs decoding no further down than the crop goes.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import UInt8

from mobilenet.data.images import Image, resize

Square = UInt8[np.ndarray, "side side 3"]

# torchvision's RandomResizedCrop tries as often before it falls back.
_INCEPTION_ATTEMPTS = 10

# As many uniform numbers as a crop may take: two for each attempt, and two for the place.
MAX_NUMBERS = 2 * _INCEPTION_ATTEMPTS + 2


@dataclasses.dataclass(frozen=True)
class Crop:
    """What becomes of one image.

    Attributes:
      rows: how many rows of the image `write` needs, from the top.
      write: fills a square, contiguous and of the network's resolution, from an image of the
        width, and of at least the rows, that the crop was chosen for.
    """

    rows: int
    write: Callable[[Image, Square], None]


def inception_crop(
    height: int,
    width: int,
    numbers: Sequence[float],
    *,
    area: tuple[float, float],
    aspect: tuple[float, float],
    interpolation: str,
) -> Crop:
    """A rectangle of random area, aspect and place, resized to the square.

    The area is uniform in `area` (shares of the image), as in GoogLeNet (Szegedy et al. 2014,
    section 6); the aspect (width / height) is log-uniform in `aspect`, so that a ratio and its
    inverse are equally likely, as in torchvision's RandomResizedCrop. If ten rectangles in a row do
    not fit, the largest centred one within `aspect` is taken, as torchvision does.
    """
    rectangle = _choose_rectangle(height, width, iter(numbers), area, aspect)
    top, _, crop_height, _ = rectangle
    write = functools.partial(_write_rectangle, rectangle=rectangle, interpolation=interpolation)
    return Crop(top + crop_height, write)


def _choose_rectangle(
    height: int,
    width: int,
    numbers: Iterator[float],
    area: tuple[float, float],
    aspect: tuple[float, float],
) -> tuple[int, int, int, int]:
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
    height: int, width: int, numbers: Sequence[float], *, padding: int, interpolation: str
) -> Crop:
    """A random window of the image padded with `padding` black pixels on each side.

    He et al. 2016 (arXiv:1512.03385, section 4.2) for CIFAR-10, with padding 4. An image of another
    size is first resized to the square.
    """
    del width
    top, left = (int((2 * padding + 1) * number) - padding for number in numbers[:2])
    write = functools.partial(_write_shifted, shift=(top, left), interpolation=interpolation)
    return Crop(height, write)


def squash(height: int, width: int, numbers: Sequence[float] = (), *, interpolation: str) -> Crop:
    """The whole image, resized to the square whatever its aspect."""
    del numbers
    whole = (0, 0, height, width)
    write = functools.partial(_write_rectangle, rectangle=whole, interpolation=interpolation)
    return Crop(height, write)


def center_crop(
    height: int,
    width: int,
    numbers: Sequence[float] = (),
    *,
    resolution: int,
    fraction: float,
    interpolation: str,
) -> Crop:
    """Resizes the short side to round(resolution / fraction), then takes the centre square.

    torchvision's Resize and CenterCrop, with fraction 224 / 256 = 0.875 for the weights of
    MobileNetV2; the long side is rounded down and the offsets are rounded, as there.
    """
    del numbers
    short = round(resolution / fraction)
    if height <= width:
        size = (short, int(short * width / height))
    else:
        size = (int(short * height / width), short)
    write = functools.partial(_write_centre, size=size, interpolation=interpolation)
    return Crop(height, write)


def window_crop(height: int, width: int, numbers: Sequence[float] = (), *, resolution: int) -> Crop:
    """The centre square of the image as it is, not resized; black where the image is smaller.

    torchvision's CenterCrop alone. For images that were resized when they were stored.
    """
    del numbers, width
    top = max((height - resolution) // 2, 0)
    return Crop(min(top + resolution, height), functools.partial(_write_window, height=height))


def central_fraction_crop(
    height: int,
    width: int,
    numbers: Sequence[float] = (),
    *,
    fraction: float,
    interpolation: str,
) -> Crop:
    """Keeps the central `fraction` of both sides, then resizes to the square.

    What slim evaluates with, at 0.875 (tensorflow/models slim/preprocessing/
    inception_preprocessing.py, preprocess_for_eval); the rounding is tf.image.central_crop's.
    """
    del numbers
    top, left = int((height - height * fraction) / 2), int((width - width * fraction) / 2)
    centre = (top, left, height - 2 * top, width - 2 * left)
    write = functools.partial(_write_rectangle, rectangle=centre, interpolation=interpolation)
    return Crop(height, write)


def _write_rectangle(
    image: Image, out: Square, *, rectangle: tuple[int, int, int, int], interpolation: str
) -> None:
    top, left, height, width = rectangle
    side = out.shape[0]
    resize(image[top : top + height, left : left + width], side, side, interpolation, out=out)


def _write_centre(image: Image, out: Square, *, size: tuple[int, int], interpolation: str) -> None:
    side = out.shape[0]
    top, left = (round((length - side) / 2) for length in size)
    out[...] = resize(image, *size, interpolation)[top : top + side, left : left + side]


def _write_window(image: Image, out: Square, *, height: int) -> None:
    side = out.shape[0]
    # The image may lack rows below the window, but not above the height that it is centred by.
    top, left = (height - side) // 2, (image.shape[1] - side) // 2
    out[...] = 0
    found = image[max(top, 0) : max(top + side, 0), max(left, 0) : left + side]
    row, column = max(-top, 0), max(-left, 0)
    out[row : row + found.shape[0], column : column + found.shape[1]] = found


def _write_shifted(
    image: Image, out: Square, *, shift: tuple[int, int], interpolation: str
) -> None:
    side = out.shape[0]
    image = resize(image, side, side, interpolation)
    (source_rows, rows), (source_columns, columns) = (_overlap(offset, side) for offset in shift)
    out[...] = 0
    out[rows, columns] = image[source_rows, source_columns]


def _overlap(offset: int, length: int) -> tuple[slice, slice]:
    """Where a window moved by `offset` meets the image: in the image, and in the window."""
    shift = min(abs(offset), length)
    inner, outer = slice(shift, length), slice(0, length - shift)
    return (inner, outer) if offset > 0 else (outer, inner)
