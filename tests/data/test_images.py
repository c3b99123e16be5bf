import io

import cv2
import numpy as np
import PIL.Image
import pytest

from mobilenet.data.images import DECODERS, CorruptImageError, resize

ROWS, COLUMNS = np.mgrid[:48, :64]
PIXELS = np.stack([4 * COLUMNS, 5 * ROWS, 2 * (ROWS + COLUMNS)], -1).astype(np.uint8)
ORIENTATION = 274  # the EXIF tag

decoders = pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS)


def encode(image: PIL.Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def picture(mode: str = "RGB") -> PIL.Image.Image:
    return PIL.Image.fromarray(PIXELS).convert(mode)


JPEG = encode(picture(), "JPEG", quality=95)
PNG = encode(picture(), "PNG")


CMYK = encode(picture("CMYK"), "JPEG", quality=100, subsampling=0)
JPEG_OPTIONS = [{}, {"subsampling": 0}, {"progressive": True}, {"quality": 30}]


def see_through() -> PIL.Image.Image:
    image = picture("RGBA")
    image.putalpha(40)
    return image


GRAY = np.asarray(picture("L"))[..., None].repeat(3, -1)
INDEXED = picture().quantize(16)
DEEP = ROWS.astype(np.uint16) * 1000
# File, expected pixels, and how far they may be from those.
MODES = {
    "png": (PNG, PIXELS, 0),
    "gray jpeg": (encode(picture("L"), "JPEG"), GRAY, 8),
    "gray png": (encode(picture("L"), "PNG"), GRAY, 0),
    "palette": (encode(INDEXED, "PNG"), np.asarray(INDEXED.convert("RGB")), 0),
    "alpha is dropped": (encode(see_through(), "PNG"), PIXELS, 0),
    "16 bits": (cv2.imencode(".png", DEEP)[1].tobytes(), DEEP[..., None].repeat(3, -1) / 257, 1),
    "cmyk": (CMYK, PIXELS, 4),
}


@decoders
@pytest.mark.parametrize(("data", "want", "tolerance"), MODES.values(), ids=MODES)
def test_every_mode_becomes_rgb(decode, data, want, tolerance):
    image = decode(data)
    assert (image.shape, image.dtype) == (PIXELS.shape, np.uint8)
    np.testing.assert_allclose(image.astype(float), want, rtol=0, atol=tolerance)


@pytest.mark.parametrize("options", JPEG_OPTIONS, ids=str)
def test_decoders_agree_to_the_bit_and_equal_pillow(options):
    data = encode(picture(), "JPEG", **options)
    first, second = (decode(data) for decode in DECODERS.values())
    np.testing.assert_array_equal(first, second)
    want = np.asarray(PIL.Image.open(io.BytesIO(data)))
    # The inverse DCT may be rounded differently by another build of libjpeg.
    np.testing.assert_allclose(first.astype(int), want.astype(int), atol=2)


@decoders
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_orientation_is_ignored(decode, kind):
    exif = PIL.Image.Exif()
    exif[ORIENTATION] = 6  # turn by a quarter
    turned = encode(picture(), kind, exif=exif)
    assert PIL.Image.open(io.BytesIO(turned)).getexif()[ORIENTATION] == 6
    np.testing.assert_array_equal(decode(turned), decode(encode(picture(), kind)))


ROW_FILES = [*(encode(picture(), "JPEG", **options) for options in JPEG_OPTIONS), PNG, CMYK]


@decoders
@pytest.mark.parametrize("data", ROW_FILES, ids=[*map(str, JPEG_OPTIONS), "png", "cmyk"])
def test_the_rows_asked_for_equal_those_of_the_whole_image(decode, data, capfd):
    whole = decode(data)
    for rows in (1, 17, 40, 48):
        np.testing.assert_array_equal(decode(data, rows)[:rows], whole[:rows])
    # libjpeg reports what it skips, unless it is told not to.
    assert capfd.readouterr() == ("", "")


def test_simplejpeg_stops_below_the_rows_asked_for():
    assert len(DECODERS["simplejpeg"](JPEG, 17)) < len(PIXELS)


@decoders
def test_a_file_without_its_end_is_corrupt_whatever_the_rows(decode):
    with pytest.raises(CorruptImageError, match="cut short"):
        decode(JPEG[: len(JPEG) * 3 // 4], 1)


def with_thumbnail(data: bytes) -> bytes:
    segment = b"Exif\0\0" + JPEG  # a complete JPEG inside, as cameras store it
    return data[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + data[2:]


FLIPPED = bytearray(PNG)
FLIPPED[len(PNG) // 2] ^= 255
CORRUPT = {
    "jpeg start": JPEG[:3],
    "jpeg header": JPEG[:200],
    "jpeg half": JPEG[: len(JPEG) // 2],
    "jpeg without end": JPEG[:-2],
    "jpeg with whole thumbnail": with_thumbnail(JPEG)[:-300],
    "progressive jpeg": encode(picture(), "JPEG", progressive=True)[:-300],
    "png header": PNG[:20],
    "png half": PNG[: len(PNG) // 2],
    "png flipped byte": bytes(FLIPPED),
}


@decoders
@pytest.mark.parametrize("data", CORRUPT.values(), ids=CORRUPT)
def test_corrupt_images_raise(decode, data):
    with pytest.raises(CorruptImageError):
        decode(data)


@decoders
@pytest.mark.parametrize(
    "data",
    [JPEG + b"\0" * 50, JPEG[:-2] + b"\0" * 7 + JPEG[-2:], with_thumbnail(JPEG)],
    ids=["after the end", "before the end", "thumbnail"],
)
def test_harmless_extra_bytes_are_accepted(decode, data):
    np.testing.assert_array_equal(decode(data), decode(JPEG))


def test_area_averages_and_bilinear_does_not():
    image = np.zeros((8, 8, 3), np.uint8)
    image[0, 0] = 160
    # An output pixel covers 4 x 4; bilinear reads the 2 x 2 in the middle of them.
    assert resize(image, 2, 2, "area")[0, 0, 0] == 10
    assert resize(image, 2, 2, "bilinear").max() == 0
    image[1:3, 1:3] = 40
    assert resize(image, 2, 2, "bilinear")[0, 0, 0] == 40


def test_area_grows_like_bilinear():
    np.testing.assert_array_equal(
        resize(PIXELS, 100, 64, "area"), resize(PIXELS, 100, 64, "bilinear")
    )


def test_bicubic_overshoots_at_an_edge():
    image = np.full((8, 8, 3), 100, np.uint8)
    image[:, 4:] = 150
    assert resize(image, 8, 32, "bicubic").max() > 150
    assert resize(image, 8, 32, "bilinear").max() == 150


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "area"])
def test_resize_keeps_the_centre_of_the_grid(interpolation):
    # Half-pixel centres: a ramp keeps its mean, whatever the size.
    ramp = np.repeat(np.arange(0, 240, 4, np.uint8)[None, :, None], 60, 0).repeat(3, 2)
    assert resize(ramp, 60, 20, interpolation).mean() == pytest.approx(ramp.mean(), abs=0.6)


@pytest.mark.parametrize("size", [(30, 20), (48, 64)], ids=["smaller", "equal"])
def test_resize_into_an_array(size):
    out = np.zeros((*size, 3), np.uint8)
    result = resize(PIXELS, *size, "bilinear", out=out)
    assert np.shares_memory(result, out)
    assert not np.shares_memory(result, PIXELS)
    np.testing.assert_array_equal(out, resize(PIXELS, *size, "bilinear"))


def test_real_photographs_decode_alike(test_data):
    import tarfile

    with tarfile.open(test_data / "clothing10" / "clothing10_160px.tar") as tar:
        members = [member for member in tar if member.isfile()][:10]
        for member in members:
            data = tar.extractfile(member).read()
            images = [decode(data) for decode in DECODERS.values()]
            np.testing.assert_array_equal(*images)
            want = np.asarray(PIL.Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
            np.testing.assert_allclose(images[0].astype(int), want, atol=4)


@pytest.mark.parametrize("name", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(17, 23), (100, 60)])
def test_pillows_filters_are_pillows(name, size):
    filter_ = getattr(PIL.Image.Resampling, name.upper())
    want = np.asarray(picture().resize(size[::-1], filter_))
    np.testing.assert_array_equal(resize(PIXELS, *size, f"pillow_{name}"), want)
    out = np.zeros((*size, 3), np.uint8)
    assert resize(PIXELS, *size, f"pillow_{name}", out=out) is out
    np.testing.assert_array_equal(out, want)
