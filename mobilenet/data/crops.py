"""Crops for training and evaluation. All take and give uint8 RGB images [height, width, 3]."""

import math

import numpy as np
from jaxtyping import UInt8

from mobilenet.data.images import Image, resize

Square = UInt8[np.ndarray, "{resolution} {resolution} 3"]

# torchvision's RandomResizedCrop tries as often before it falls back.
_INCEPTION_ATTEMPTS = 10


def inception_crop(
    image: Image,
    rng: np.random.Generator,
    *,
    resolution: int,
    area: tuple[float, float],
    aspect: tuple[float, float],
    interpolation: str,
) -> Square:
    """A rectangle of random area, aspect and place, resized to resolution x resolution.

    The area is uniform in `area` (shares of the image), as in GoogLeNet (Szegedy et al. 2014,
    section 6); the aspect (width / height) is log-uniform in `aspect`, so that a ratio and its
    inverse are equally likely, as in torchvision's RandomResizedCrop. If ten rectangles in a row do
    not fit, the largest centred one within `aspect` is taken, as torchvision does.
    """
    top, left, height, width = _sample_rectangle(image.shape[0], image.shape[1], rng, area, aspect)
    crop = image[top : top + height, left : left + width]
    return resize(crop, resolution, resolution, interpolation)


def _sample_rectangle(
    height: int,
    width: int,
    rng: np.random.Generator,
    area: tuple[float, float],
    aspect: tuple[float, float],
) -> tuple[int, int, int, int]:
    low, high = math.log(aspect[0]), math.log(aspect[1])
    for _ in range(_INCEPTION_ATTEMPTS):
        target = height * width * (area[0] + (area[1] - area[0]) * rng.random())
        ratio = math.exp(low + (high - low) * rng.random())
        crop_width = max(round(math.sqrt(target * ratio)), 1)
        crop_height = max(round(math.sqrt(target / ratio)), 1)
        if crop_width <= width and crop_height <= height:
            top = int((height - crop_height + 1) * rng.random())
            left = int((width - crop_width + 1) * rng.random())
            return top, left, crop_height, crop_width
    crop_width = max(min(width, round(height * aspect[1])), 1)
    crop_height = max(min(height, round(width / aspect[0])), 1)
    return (height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width


def pad_crop(
    image: Image,
    rng: np.random.Generator,
    *,
    resolution: int,
    padding: int,
    interpolation: str,
) -> Square:
    """A random window of the image padded with `padding` black pixels on each side.

    He et al. 2016 (arXiv:1512.03385, section 4.2) for CIFAR-10, with padding 4. An image of another
    size is first resized to resolution x resolution.
    """
    image = resize(image, resolution, resolution, interpolation)
    top, left = (int((2 * padding + 1) * rng.random()) - padding for _ in range(2))
    source_rows, rows = _overlap(top, resolution)
    source_columns, columns = _overlap(left, resolution)
    window = np.zeros_like(image)
    window[rows, columns] = image[source_rows, source_columns]
    return window


def _overlap(offset: int, length: int) -> tuple[slice, slice]:
    """Where a window moved by `offset` meets the image: in the image, and in the window."""
    shift = min(abs(offset), length)
    inner, outer = slice(shift, length), slice(0, length - shift)
    return (inner, outer) if offset > 0 else (outer, inner)


def squash(image: Image, *, resolution: int, interpolation: str) -> Square:
    """The whole image, resized to resolution x resolution whatever its aspect."""
    return resize(image, resolution, resolution, interpolation)


def center_crop(image: Image, *, resolution: int, fraction: float, interpolation: str) -> Square:
    """Resizes the short side to round(resolution / fraction), then takes the centre square.

    torchvision's Resize and CenterCrop, with fraction 224 / 256 = 0.875 for the weights of
    MobileNetV2; the long side is rounded down and the offsets are rounded, as there.
    """
    height, width = image.shape[:2]
    short = round(resolution / fraction)
    if height <= width:
        height, width = short, int(short * width / height)
    else:
        height, width = int(short * height / width), short
    image = resize(image, height, width, interpolation)
    top, left = round((height - resolution) / 2), round((width - resolution) / 2)
    return image[top : top + resolution, left : left + resolution]


def central_fraction_crop(
    image: Image, *, resolution: int, fraction: float, interpolation: str
) -> Square:
    """Keeps the central `fraction` of both sides, then resizes to resolution x resolution.

    What slim evaluates with, at 0.875 (tensorflow/models slim/preprocessing/
    inception_preprocessing.py, preprocess_for_eval); the rounding is tf.image.central_crop's.
    """
    height, width = image.shape[:2]
    top, left = int((height - height * fraction) / 2), int((width - width * fraction) / 2)
    crop = image[top : height - top, left : width - left]
    return resize(crop, resolution, resolution, interpolation)
