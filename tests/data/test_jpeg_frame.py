import io

import numpy as np
import PIL.Image
import pytest
import simplejpeg

from mobilenet.data.jpeg_frame import keep_top, read_size

HEIGHT, WIDTH = 75, 52  # neither a multiple of a coded block
NOISE = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def encode(**options) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(NOISE).save(buffer, "JPEG", quality=90, **options)
    return buffer.getvalue()


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


JPEG = encode()
THUMBNAIL = segment(0xE1, b"Exif\0\0" + simplejpeg.encode_jpeg(NOISE[:8, :8].copy()))

SEQUENTIAL = {
    "4:2:0": JPEG,
    "4:2:2": encode(subsampling=1),
    "4:4:4": encode(subsampling=0),
    "4:4:0": simplejpeg.encode_jpeg(NOISE, 90, "RGB", "440"),
    "4:1:1": simplejpeg.encode_jpeg(NOISE, 90, "RGB", "411"),
    "gray": simplejpeg.encode_jpeg(NOISE[..., :1].copy(), 90, "GRAY", "Gray"),
    "restart markers": encode(restart_marker_rows=1),
    "thumbnail": JPEG[:2] + THUMBNAIL + JPEG[2:],
    "comment": JPEG[:2] + segment(0xFE, b"\xff\xc0\0\x11\x08") + JPEG[2:],
}
sequential = pytest.mark.parametrize("data", SEQUENTIAL.values(), ids=SEQUENTIAL)


def with_height(height: int) -> bytes:
    position = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:position] + height.to_bytes(2, "big") + JPEG[position + 2 :]


OTHER = {
    "empty": b"",
    "no jpeg": b"\x89PNG" + JPEG,
    "progressive": encode(progressive=True),
    "headers alone": JPEG[:20],
    "half a frame header": JPEG[: JPEG.index(b"\xff\xc0") + 7],
    "a segment of length 0": JPEG[:2] + b"\xff\xe0\0\0" + JPEG[2:],
    "rubbish between segments": JPEG[:2] + b"\xff\xfe\0\x04abrubbish" + JPEG[2:],
    "scan before frame": JPEG[:2] + segment(0xDA, b"abc") + JPEG[2:],
    "height to come later": with_height(0),
}


@sequential
def test_the_size_is_found(data):
    assert read_size(data) == (HEIGHT, WIDTH)
    assert PIL.Image.open(io.BytesIO(data)).size == (WIDTH, HEIGHT)


@pytest.mark.parametrize("data", OTHER.values(), ids=OTHER)
def test_other_files_have_no_size_and_stay_whole(data):
    assert read_size(data) is None
    assert keep_top(data, 1) == data


@sequential
def test_the_top_is_the_top_of_the_whole_image(data):
    whole = simplejpeg.decode_jpeg(data, "RGB")
    for rows in range(1, HEIGHT + 1):
        top = simplejpeg.decode_jpeg(keep_top(data, rows), "RGB", strict=False)
        assert rows <= len(top) <= rows + 1
        np.testing.assert_array_equal(top[:rows], whole[:rows])


def test_all_rows_are_the_file_itself():
    assert keep_top(JPEG, HEIGHT) is JPEG
    assert len(keep_top(JPEG, 10)) == len(JPEG)
    assert encode() == JPEG  # unchanged itself
