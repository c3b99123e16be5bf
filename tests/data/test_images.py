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


@decoders
def test_png_is_exact(decode):
    np.testing.assert_array_equal(decode(PNG), PIXELS)


@decoders
@pytest.mark.parametrize(
    "options", [{}, {"subsampling": 0}, {"progressive": True}, {"quality": 30}], ids=str
)
def test_jpeg_equals_pillow(decode, options):
    data = encode(picture(), "JPEG", **options)
    want = np.asarray(PIL.Image.open(io.BytesIO(data)))
    # The inverse DCT may be rounded differently by another build of libjpeg.
    np.testing.assert_allclose(decode(data).astype(int), want.astype(int), atol=2)


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"progressive": True}], ids=str)
def test_decoders_agree_to_the_bit(options):
    data = encode(picture(), "JPEG", **options)
    first, second = (decode(data) for decode in DECODERS.values())
    np.testing.assert_array_equal(first, second)


@decoders
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_gray_is_repeated(decode, kind):
    image = decode(encode(picture("L"), kind))
    gray = np.asarray(picture("L")).astype(int)
    assert image.shape == (48, 64, 3)
    np.testing.assert_array_equal(image[..., 0], image[..., 2])
    np.testing.assert_allclose(image[..., 1].astype(int), gray, atol=0 if kind == "PNG" else 8)


@decoders
def test_palette_is_looked_up(decode):
    indexed = picture().quantize(16)
    want = np.asarray(indexed.convert("RGB"))
    np.testing.assert_array_equal(decode(encode(indexed, "PNG")), want)


@decoders
def test_alpha_is_dropped(decode):
    image = picture("RGBA")
    image.putalpha(40)
    np.testing.assert_array_equal(decode(encode(image, "PNG")), PIXELS)


@decoders
def test_sixteen_bits_become_eight(decode):
    data = cv2.imencode(".png", ROWS.astype(np.uint16) * 1000)[1].tobytes()
    np.testing.assert_allclose(decode(data)[..., 0].astype(int), ROWS * 1000 / 257, atol=1.0)


@decoders
def test_cmyk_jpeg_becomes_rgb(decode):
    data = encode(picture("CMYK"), "JPEG", quality=100, subsampling=0)
    np.testing.assert_allclose(decode(data).astype(int), PIXELS.astype(int), atol=4)


@decoders
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_orientation_is_ignored(decode, kind):
    exif = PIL.Image.Exif()
    exif[ORIENTATION] = 6  # turn by a quarter
    data = encode(picture(), kind, exif=exif)
    assert np.asarray(PIL.Image.open(io.BytesIO(data)).getexif())[()] is not None
    assert decode(data).shape == (48, 64, 3)


@decoders
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}], ids=str)
def test_the_rows_asked_for_equal_those_of_the_whole_image(decode, options, capfd):
    data = encode(picture(), "JPEG", quality=95, **options)
    whole = decode(data)
    for rows in (1, 17, 40, 48):
        np.testing.assert_array_equal(decode(data, rows)[:rows], whole[:rows])
    # libjpeg reports what it skips, unless it is told not to.
    assert capfd.readouterr() == ("", "")


def test_simplejpeg_stops_below_the_rows_asked_for():
    assert len(DECODERS["simplejpeg"](JPEG, 17)) < len(PIXELS)


@decoders
def test_rows_of_other_files(decode):
    np.testing.assert_array_equal(decode(PNG, 20)[:20], PIXELS[:20])
    cmyk = encode(picture("CMYK"), "JPEG", quality=100, subsampling=0)
    np.testing.assert_array_equal(decode(cmyk, 20)[:20], decode(cmyk)[:20])


@decoders
def test_a_file_without_its_end_is_corrupt_whatever_the_rows(decode):
    with pytest.raises(CorruptImageError, match="cut short"):
        decode(JPEG[: len(JPEG) * 3 // 4], 1)


def with_thumbnail(data: bytes) -> bytes:
    segment = b"Exif\0\0" + JPEG  # a complete JPEG inside, as cameras store it
    return data[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + data[2:]


@decoders
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no image at all",
        JPEG[:3],
        JPEG[:200],
        JPEG[: len(JPEG) // 2],
        JPEG[:-2],
        with_thumbnail(JPEG)[:-300],
        encode(picture(), "JPEG", progressive=True)[:-300],
        PNG[:20],
        PNG[: len(PNG) // 2],
        PNG[: len(PNG) // 2] + bytes([PNG[len(PNG) // 2] ^ 255]) + PNG[len(PNG) // 2 + 1 :],
    ],
    ids=[
        "empty",
        "text",
        "jpeg start",
        "jpeg header",
        "jpeg half",
        "jpeg without end",
        "jpeg with whole thumbnail",
        "progressive jpeg",
        "png header",
        "png half",
        "png flipped byte",
    ],
)
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
