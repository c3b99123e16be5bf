"""Checks of single images, and the conversion of those few that are no RGB or gray JPEG."""

from collections.abc import Callable

import numpy as np
import simplejpeg

from mobilenet.data.images import (
    JPEG_END,
    PNG_START,
    CorruptImageError,
    Image,
    decode_with_simplejpeg,
)
from mobilenet.data.jpeg_frame import JPEG_START

_QUALITY = 100  # tensorflow_datasets/core/utils/image_utils.py, jpeg_cmyk_to_rgb and png_to_jpeg
_HEAD = len(PNG_START)
# Where a JFIF header, which begins the file, has its resolution; 300 dots per inch is TensorFlow's
# default (tensorflow/core/ops/image_ops.cc, EncodeJpeg), and keeps our bytes equal to TFDS's.
_DENSITY = slice(13, 18)
_TENSORFLOW_DENSITY = b"\x01\x01\x2c\x01\x2c"
# Segment APP14, in files by Photoshop and most others that write CMYK, whose values are inverted.
_ADOBE = b"\xff\xee\x00\x0eAdobe"


def check_ends(read: Callable[[int, int], bytes], size: int) -> None:
    """Looks at the first and last bytes of an image file, which finds most of what is damaged.

    Args:
      read: gives so many bytes from an offset in the file.
      size: of the file, in bytes.

    Raises:
      CorruptImageError: the file is empty, cut short, or neither JPEG nor PNG.
    """
    if size == 0:
        raise CorruptImageError("it is empty")
    head = read(0, min(size, _HEAD))
    if head.startswith(PNG_START):
        return
    if not head.startswith(JPEG_START):
        raise CorruptImageError("it is neither JPEG nor PNG")
    if read(max(size - len(JPEG_END), 0), len(JPEG_END)) != JPEG_END:
        # Bytes after the end of the image are allowed; to know, the decoder must see all of it.
        decode_with_simplejpeg(read(0, size), rows=1)


def to_stored_jpeg(data: bytes) -> tuple[bytes, bool]:
    """The JPEG that TFDS's imagenet2012 stores for an image file, and whether it is a new one.

    A file is stored as it is, unless it is a CMYK JPEG or a PNG: those, 22 and 1 in the training
    set, become RGB JPEGs of quality 100 with halved chroma, as in TFDS, which knows them by name.
    Their bytes were TFDS's where we compared, but that is TensorFlow's decoder and encoder, so they
    may differ. The whole image is decoded in any case, to be sure that it can be.

    Raises:
      CorruptImageError: it cannot be decoded, or is neither JPEG nor PNG.
    """
    if not data.startswith((JPEG_START, PNG_START)):
        raise CorruptImageError("it is neither JPEG nor PNG")
    pixels = decode_with_simplejpeg(data)
    if data.startswith(JPEG_START):
        if not _is_cmyk(data):
            return data, False
        pixels = _cmyk_as_tensorflow(data)
    encoded = simplejpeg.encode_jpeg(
        pixels, quality=_QUALITY, colorspace="RGB", colorsubsampling="420", fastdct=False
    )
    return encoded[: _DENSITY.start] + _TENSORFLOW_DENSITY + encoded[_DENSITY.stop :], True


def _is_cmyk(data: bytes) -> bool:
    try:
        return simplejpeg.decode_jpeg_header(data, strict=False)[2] in ("CMYK", "YCCK")
    except (ValueError, KeyError):  # what only OpenCV decodes, such as rare chroma subsampling
        return False


def _cmyk_as_tensorflow(data: bytes) -> Image:
    """RGB pixels by the inverse DCT and the formula of tensorflow/core/lib/jpeg/jpeg_mem.cc."""
    cmyk = simplejpeg.decode_jpeg(data, "CMYK", fastdct=True, strict=False).astype(np.uint16)
    if _ADOBE not in data:
        cmyk = 255 - cmyk
    return (cmyk[..., :3] * cmyk[..., 3:] // 255).astype(np.uint8)
