"""The operations of TrivialAugment and RandAugment on one image, by OpenCV.

Each takes an image and a magnitude and returns an image. They are those of torchvision
(transforms/autoaugment.py, `_apply_op`) on Pillow images with bilinear interpolation and black
outside: tables of pixel values are Pillow's exactly, sums of pixels to one value of 255, and
resampled pixels to OpenCV's 1/32 of a pixel.
"""

import math

import cv2
import numpy as np
from jaxtyping import Float, Shaped, UInt8

from mobilenet.data.images import Image

_VALUES = np.arange(256)
# Pillow's luma, ITU-R 601-2 (Image.convert), of RGB.
_LUMA = np.array([0.299, 0.587, 0.114])
# Pillow's ImageFilter.SMOOTH.
_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
_ONLY_CENTER = np.array([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]])


def identity(image: Image, magnitude: float) -> Image:
    """Does nothing."""
    del magnitude
    return image


def shear_x(image: Image, magnitude: float) -> Image:
    """Moves a row by `magnitude` times its distance from the top; the topmost edge stays."""
    return _warp(image, [[1, magnitude, 0], [0, 1, 0]])


def shear_y(image: Image, magnitude: float) -> Image:
    """Moves a column by `magnitude` times its distance from the left; the leftmost edge stays."""
    return _warp(image, [[1, 0, 0], [magnitude, 1, 0]])


def translate_x(image: Image, magnitude: float) -> Image:
    """Moves to the right by whole pixels; the fraction of `magnitude` is cut off."""
    return _warp(image, [[1, 0, -int(magnitude)], [0, 1, 0]])


def translate_y(image: Image, magnitude: float) -> Image:
    """Moves down by whole pixels; the fraction of `magnitude` is cut off."""
    return _warp(image, [[1, 0, 0], [0, 1, -int(magnitude)]])


def rotate(image: Image, magnitude: float) -> Image:
    """Turns counter-clockwise about the centre, by degrees."""
    angle = math.radians(magnitude)
    cos, sin = math.cos(angle), math.sin(angle)
    y, x = image.shape[0] / 2, image.shape[1] / 2
    return _warp(image, [[cos, -sin, x - cos * x + sin * y], [sin, cos, y - sin * x - cos * y]])


def brightness(image: Image, magnitude: float) -> Image:
    """From black at -1 to double at 1."""
    return _look_up(image, _blend(0, magnitude))


def color(image: Image, magnitude: float) -> Image:
    """From gray at -1 to double the distance from gray at 1."""
    factor = 1 + magnitude
    matrix = factor * np.eye(3) + (1 - factor) * _LUMA[None]
    return cv2.transform(image, matrix)


def contrast(image: Image, magnitude: float) -> Image:
    """From the mean luma at -1 to double the distance from it at 1."""
    mean = int(cv2.mean(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[0] + 0.5)
    return _look_up(image, _blend(mean, magnitude))


def sharpness(image: Image, magnitude: float) -> Image:
    """From smoothed at -1 to sharpened at 1; the outermost pixels stay."""
    factor = 1 + magnitude
    result = cv2.filter2D(image, -1, factor * _ONLY_CENTER + (1 - factor) * _SMOOTH)
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        result[edge] = image[edge]
    return result


def posterize(image: Image, magnitude: float) -> Image:
    """Keeps the highest `magnitude` bits of the pixel values."""
    return image & np.uint8(256 - 2 ** (8 - int(magnitude)))


def solarize(image: Image, magnitude: float) -> Image:
    """Inverts the pixel values that are not below `magnitude`."""
    return _look_up(image, np.where(magnitude > _VALUES, _VALUES, 255 - _VALUES))


def auto_contrast(image: Image, magnitude: float) -> Image:
    """Stretches each channel to the full range, unless it has a single value.

    Pillow's ImageOps.autocontrast without a cutoff.
    """
    del magnitude
    tables = []
    for channel in cv2.split(image):
        low, high, _, _ = cv2.minMaxLoc(channel)
        scale = 255 / (high - low) if high > low else 1.0
        offset = -low * scale if high > low else 0.0
        tables.append(_VALUES * scale + offset)
    return _look_up_channels(image, tables)


def equalize(image: Image, magnitude: float) -> Image:
    """Makes the histogram of each channel as even as it can be.

    Pillow's ImageOps.equalize: a value maps to the number of pixels below it over the number for
    each step, which leaves out the pixels of the highest value.
    """
    del magnitude
    tables = []
    for channel in cv2.split(image):
        counts = cv2.calcHist([channel], [0], None, [256], [0, 256]).ravel().astype(np.int64)
        present = counts[counts > 0]
        step = (present.sum() - present[-1]) // 255
        below = np.cumsum(counts) - counts
        tables.append((step // 2 + below) // step if step else _VALUES)
    return _look_up_channels(image, tables)


def _warp(image: Image, matrix: list[list[float]]) -> Image:
    """Resamples by the affine map from the places of the result to those of the image.

    Places are measured from the corner of the image, as Pillow does. OpenCV measures from the
    centre of the first pixel, half a pixel further.
    """
    inverse = np.array(matrix, np.float64)
    inverse[:, 2] += inverse[:, :2].sum(1) * 0.5 - 0.5
    size = (image.shape[1], image.shape[0])
    return cv2.warpAffine(image, inverse, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def _blend(degenerate: int, magnitude: float) -> Float[np.ndarray, "256"]:
    """Pixel values moved away from, or with a negative magnitude towards, one value."""
    return degenerate + np.float32(1 + magnitude) * (_VALUES - degenerate).astype(np.float32)


def _look_up(image: Image, table: Shaped[np.ndarray, "256"]) -> Image:
    return cv2.LUT(image, _to_pixels(table))


def _look_up_channels(image: Image, tables: list[Shaped[np.ndarray, "256"]]) -> Image:
    return cv2.LUT(image, np.stack([_to_pixels(table) for table in tables], -1)[None])


def _to_pixels(values: Shaped[np.ndarray, "256"]) -> UInt8[np.ndarray, "256"]:
    # Pillow cuts fractions off.
    return np.clip(values, 0, 255).astype(np.uint8)
