"""The frame header of a JPEG file: the image's size, and the means to decode only its top.

Section and table numbers are those of ITU T.81.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

JPEG_START = b"\xff\xd8\xff"

# Baseline and extended sequential DCT with Huffman coding (table B.1). A progressive file sends the
# whole image again and again, and its top is not exact before the last scan.
_SEQUENTIAL_FRAMES = (0xC0, 0xC1)
# All frames of table B.1; 0xC4, 0xC8 and 0xCC among them are other segments.
_FRAMES = tuple(marker for marker in range(0xC0, 0xD0) if marker not in (0xC4, 0xC8, 0xCC))
# Markers without a length after them: RST0 to RST7, SOI, EOI; SOS ends the headers.
_NO_SEGMENT = (0x00, 0x01, *range(0xD0, 0xDB), 0xFF)


class _Frame(NamedTuple):
    height: int  # pixels
    width: int
    height_offset: int  # bytes into the file


def read_size(data: bytes) -> tuple[int, int] | None:
    """Returns height and width of a sequential JPEG, None for any other file."""
    frame = _find_frame(data, _SEQUENTIAL_FRAMES)
    return (frame.height, frame.width) if frame else None


def read_any_size(data: bytes) -> tuple[int, int] | None:
    """Returns height and width of any JPEG, None if the file has no frame header."""
    frame = _find_frame(data, _FRAMES)
    return (frame.height, frame.width) if frame else None


def keep_top(data: bytes, rows: int) -> bytes | bytearray:
    """Returns a file that decodes to the first `rows` rows of `data`, to the bit, or to some more.

    The header is made to promise fewer rows, so that a decoder stops there: neither the Huffman
    codes, most of the work, nor the transform are done for what lies below. It finds the rest of
    the scan before the end-of-image marker, which libjpeg takes for harmless extra bytes. There is
    one row more than asked for, because smooth chroma upsampling looks at the row below.

    Files other than sequential JPEG are returned as they are.
    """
    frame = _find_frame(data, _SEQUENTIAL_FRAMES)
    if frame is None or rows + 1 >= frame.height:
        return data
    top = bytearray(data)
    struct.pack_into(">H", top, frame.height_offset, rows + 1)
    return top


def _find_frame(data: bytes, frames: Sequence[int]) -> _Frame | None:
    if not data.startswith(JPEG_START):
        return None
    position = 2
    while position + 9 <= len(data):
        start, marker, length = struct.unpack_from(">BBH", data, position)
        if start != 0xFF or marker in _NO_SEGMENT or length < 2:
            return None
        if marker in frames:
            height, width = struct.unpack_from(">HH", data, position + 5)
            # A height of zero is defined after the first scan (B.2.5).
            return _Frame(height, width, position + 5) if height and width else None
        position += 2 + length
    return None
