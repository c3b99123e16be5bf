"""Image bytes to RGB pixels, and resizing."""

import io
import struct
from typing import Protocol

import cv2
import numpy as np
import PIL.Image
import simplejpeg
from jaxtyping import UInt8

from mobilenet.data.jpeg_frame import JPEG_START, keep_top, read_any_size
from mobilenet.errors import UserError

Image = UInt8[np.ndarray, "_ _ 3"]  # height, width, RGB

# Grain's threads and processes already use every core that the config gives them.
cv2.setNumThreads(1)

_JPEG_SCAN = b"\xff\xda"
PNG_START = b"\x89PNG\r\n\x1a\n"
JPEG_END = b"\xff\xd9"

# RGB order, 8 bits, alpha dropped. EXIF orientation is ignored, as TensorFlow's and TFDS's decoders
# and torchvision's datasets do: labels and published accuracies belong to the stored pixels.
_OPENCV_FLAGS = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION

# A file of some kilobytes may promise pixels that fill the memory. More than these are refused, as
# Pillow does, with which torchvision's datasets read (Pillow documentation, Image.open,
# DecompressionBombError: twice 2**30 // 12). That is half a gigabyte of RGB.
MOST_PIXELS = 2 * (2**30 // 12)


class CorruptImageError(UserError, ValueError):
    """The bytes of a record are no complete image."""


class Decoder(Protocol):
    """Image bytes to pixels; the rows below the first `rows` may be missing."""

    def __call__(self, data: bytes, rows: int | None = None) -> Image: ...


def decode_with_opencv(data: bytes, rows: int | None = None) -> Image:
    """Decodes JPEG, PNG, and whatever else OpenCV reads and Pillow knows.

    Gray, palette, alpha, CMYK and 16 bit images become 8 bit RGB; alpha is dropped, not blended.

    Args:
      data: the image file.
      rows: ignored: the whole image is given.

    Raises:
      CorruptImageError: the data are empty, damaged, cut short, of an unknown format, or of more
        than `MOST_PIXELS`.
    """
    del rows  # OpenCV would report the rest of the scan on the standard error stream.
    if not data:
        raise CorruptImageError("it is empty")
    _check_jpeg_is_complete(data)
    _check_size(*_read_size(data))
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), _OPENCV_FLAGS)
    except cv2.error as error:
        raise CorruptImageError(f"OpenCV cannot decode it ({error.err})") from error
    if image is None:
        raise CorruptImageError("OpenCV cannot decode it")
    return image


def decode_with_simplejpeg(data: bytes, rows: int | None = None) -> Image:
    """Decodes JPEG by libjpeg-turbo directly, and by OpenCV what that refuses.

    OpenCV gets the other formats, CMYK and rare chroma subsampling, and it has the last word on
    what is corrupt. The exact inverse DCT and the smooth chroma upsampling are used, so the pixels
    equal those of `decode_with_opencv`, whose libjpeg-turbo does the same.

    Args:
      data: the image file.
      rows: how many rows are needed, from the top; None: all. Of a sequential JPEG the rest is not
        decoded, and damage there goes unnoticed, but for a missing end.

    Raises:
      CorruptImageError: as `decode_with_opencv`.
    """
    if not data.startswith(JPEG_START):
        return decode_with_opencv(data)
    _check_jpeg_is_complete(data)
    try:
        height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data, strict=False)
        _check_size(height, width)
        # 22 of ImageNet's training images are CMYK.
        if colorspace not in ("CMYK", "YCCK"):
            # Not strict: libjpeg's warnings, such as extraneous bytes before a marker, leave a
            # usable picture. TensorFlow accepts them too (tensorflow/core/lib/jpeg/jpeg_mem.cc).
            needed = data if rows is None else keep_top(data, rows)
            return simplejpeg.decode_jpeg(needed, "RGB", strict=False)
    except CorruptImageError:
        raise
    except (ValueError, KeyError):  # KeyError: chroma subsampling that it has no name for
        pass
    return decode_with_opencv(data)


DECODERS: dict[str, Decoder] = {
    "simplejpeg": decode_with_simplejpeg,
    "opencv": decode_with_opencv,
}


def _read_size(data: bytes) -> tuple[int, int]:
    """Returns height and width as the file states them, without decoding it."""
    if data.startswith(JPEG_START):
        try:
            return simplejpeg.decode_jpeg_header(data, strict=False)[:2]
        except (ValueError, KeyError):  # as above
            size = read_any_size(data)
        if size is None:
            raise CorruptImageError("the JPEG has no frame header")
        return size
    if data.startswith(PNG_START) and len(data) >= 24:
        # The first chunk is the header, which begins with the size (PNG specification, 11.2.2).
        width, height = struct.unpack_from(">II", data, 16)
        return height, width
    try:
        with PIL.Image.open(io.BytesIO(data)) as image:
            return image.height, image.width
    except PIL.Image.DecompressionBombError as error:
        raise CorruptImageError(f"it has too many pixels: {error}") from error
    except Exception as error:
        # Each of Pillow's many readers has errors of its own for bytes that make no sense.
        raise CorruptImageError("it is of no known format") from error


def _check_size(height: int, width: int) -> None:
    if height * width > MOST_PIXELS:
        raise CorruptImageError(
            f"it has {width:,} x {height:,} pixels, and more than {MOST_PIXELS:,} are refused"
        )


def _check_jpeg_is_complete(data: bytes) -> None:
    # Some builds of libjpeg fill the missing rows of a cut file with gray and only warn. Entropy
    # coded data never contain a marker (ITU T.81, B.1.1.5), so the last end of image must follow
    # the last start of scan; a thumbnail's own end of image comes before it.
    if not data.startswith(JPEG_START) or data.endswith(JPEG_END):
        return
    if data.rfind(JPEG_END) < data.rfind(_JPEG_SCAN):
        raise CorruptImageError("it is cut short: the JPEG has no end-of-image marker")


# OpenCV's filters with half-pixel centres, the grid of torchvision, Pillow and TensorFlow 2.
# bilinear and bicubic read 2x2 and 4x4 source pixels however much the image shrinks: like slim's
# TensorFlow 1 resize they do not antialias, unlike Pillow and torchvision, whose filters widen with
# the scale. area averages all the source pixels under an output pixel, which does; where an
# axis grows it is bilinear. Those of Pillow are its own, as torchvision, timm and transformers use
# them for the accuracies of their weights.
# Sources: OpenCV documentation, InterpolationFlags; Pillow documentation, Filters.
INTERPOLATIONS: dict[str, int] = {
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "pillow_bilinear": PIL.Image.Resampling.BILINEAR,
    "pillow_bicubic": PIL.Image.Resampling.BICUBIC,
}


def resize(
    image: Image, height: int, width: int, interpolation: str, out: Image | None = None
) -> Image:
    """Resizes to (height, width) pixels; `interpolation` is a key of `INTERPOLATIONS`.

    The result is written into `out`, where given: contiguous, of that size.
    """
    if image.shape[:2] == (height, width):
        if out is None:
            return image
        np.copyto(out, image)
        return out
    if interpolation.startswith("pillow_"):
        filter_ = PIL.Image.Resampling(INTERPOLATIONS[interpolation])
        resized = np.asarray(PIL.Image.fromarray(image).resize((width, height), filter_))
        if out is None:
            return resized
        np.copyto(out, resized)
        return out
    grows = height > image.shape[0] or width > image.shape[1]
    flag = cv2.INTER_LINEAR if interpolation == "area" and grows else INTERPOLATIONS[interpolation]
    return cv2.resize(image, (width, height), dst=out, interpolation=flag)
