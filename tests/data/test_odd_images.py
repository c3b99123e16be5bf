"""Images as they come from the world: tiny, huge, turned, and in every colour mode."""

import io
import struct
import zlib

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobilenet.data.datasets import open_split
from mobilenet.data.images import DECODERS, MOST_PIXELS, CorruptImageError
from mobilenet.data.jpeg_frame import read_any_size
from mobilenet.data.pipeline import eval_batches, train_batches
from mobilenet.data.prepare.image_folder import ImageFolderError, prepare_image_folder
from mobilenet.tasks.classification.classification import label_of
from tests.helpers import toy_dataset

decoders = pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS)
RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (30, 20, 3), np.uint8)


def encode(mode: str, kind: str, size=(20, 30), **options) -> bytes:
    image = PIL.Image.fromarray(NOISE).resize(size).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def promise(kind: str, width: int, height: int) -> bytes:
    """A small file whose header states another size."""
    data = bytearray(encode("RGB", "PNG" if kind == "PNG" else "JPEG", progressive=kind == "SOF2"))
    if kind == "PNG":
        struct.pack_into(">II", data, 16, width, height)
        struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    else:
        frame = data.index(b"\xff\xc2" if kind == "SOF2" else b"\xff\xc0")
        struct.pack_into(">HH", data, frame + 5, height, width)
    return bytes(data)


def huge_bmp() -> bytes:
    data = bytearray(encode("RGB", "BMP"))
    struct.pack_into("<ii", data, 18, 20_000, 20_000)
    return bytes(data)


def turned() -> bytes:
    exif = PIL.Image.Exif()
    exif[274] = 6  # by a quarter
    return encode("RGB", "JPEG", exif=exif)


ODD = {
    "1x1 jpeg": encode("RGB", "JPEG", (1, 1)),
    "1x1 png": encode("RGB", "PNG", (1, 1)),
    "a row": encode("RGB", "PNG", (200, 1)),
    "a column": encode("RGB", "JPEG", (1, 200)),
    "cmyk": encode("CMYK", "JPEG"),
    "gray": encode("L", "JPEG"),
    "16 bits": cv2.imencode(".png", NOISE.astype(np.uint16) * 257)[1].tobytes(),
    "one bit": encode("1", "PNG"),
    "alpha": encode("RGBA", "PNG"),
    "turned": turned(),
    "bmp": encode("RGB", "BMP"),
    "gif": encode("P", "GIF"),
    "webp": encode("RGB", "WEBP"),
}
BAD = {
    "empty": (b"", "it is empty"),
    "no image": (b"no image", "it is of no known format"),
    "cut jpeg": (encode("RGB", "JPEG")[:-20], "it is cut short"),
    "cut png": (encode("RGB", "PNG")[:-20], "OpenCV cannot decode it"),
    "no frame": (b"\xff\xd8\xff\xd9" * 8, "the JPEG has no frame header"),
    "huge jpeg": (promise("JPEG", 20_000, 20_000), "it has 20,000 x 20,000 pixels"),
    "huge progressive": (promise("SOF2", 20_000, 20_000), "it has 20,000 x 20,000 pixels"),
    "huge png": (promise("PNG", 20_000, 20_000), "it has 20,000 x 20,000 pixels"),
    "huge bmp": (huge_bmp(), "it has too many pixels"),
    "a pixel too many": (promise("PNG", MOST_PIXELS + 1, 1), "are refused$"),
}


@decoders
@pytest.mark.parametrize(("data", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_used_is_refused_with_a_reason(decode, data, message):
    with pytest.raises(CorruptImageError, match=message):
        decode(data)


def test_the_most_pixels_are_those_that_pillow_opens():
    size = (MOST_PIXELS // 2, 2)
    with pytest.warns(PIL.Image.DecompressionBombWarning):
        assert PIL.Image.open(io.BytesIO(promise("PNG", *size))).size == size
    with pytest.raises(PIL.Image.DecompressionBombError):
        PIL.Image.open(io.BytesIO(promise("PNG", size[0] + 1, 2)))


@pytest.fixture(scope="module")
def odd_dir(tmp_path_factory):
    """Holds `odd`, of all images that can be used, and `bad`, in which two cannot."""
    folder = tmp_path_factory.mktemp("odd")
    toy_dataset.write(folder, "odd", {"train": [*ODD.values()], "test": [*ODD.values()]})
    images = [ODD["gray"], BAD["huge jpeg"][0], BAD["huge png"][0]]
    toy_dataset.write(folder, "bad", {"train": images, "test": images})
    return folder


@pytest.mark.parametrize("crop", ["inception", "pad_crop", "none"])
def test_every_crop_takes_every_odd_image(config, odd_dir, crop):
    config.update(name="odd", data_dir=str(odd_dir), train_crop=crop)
    batches = train_batches(open_split(config, "train"), config, (24, 24), len(ODD), 0, label_of)
    for _ in range(10):
        batch = next(batches)
        assert batch["images"].shape == (len(ODD), 24, 24, 3)
        assert batch["mask"].all()
    batches.close()


@pytest.mark.parametrize("crop", ["center", "central_fraction", "window"])
def test_evaluation_takes_every_odd_image(config, odd_dir, crop):
    config.update(name="odd", data_dir=str(odd_dir), eval_crop=crop, eval_fraction=0.875)
    (batch,) = eval_batches(open_split(config, "test"), config, (24, 24), len(ODD), label_of)
    assert batch["mask"].all()


def test_a_huge_image_is_named_with_its_number_and_file(config, odd_dir):
    config.update(name="bad", data_dir=str(odd_dir))
    batches = eval_batches(open_split(config, "test"), config, (24, 24), 3, label_of)
    with pytest.raises(
        CorruptImageError,
        match=r"Image 1 \(1\.png\) of bad, split 'test', cannot be read: it has 20,000 x 20,000 ",
    ):
        next(batches)
    config.on_corrupt = "skip"
    (batch,) = eval_batches(open_split(config, "test"), config, (24, 24), 3, label_of)
    np.testing.assert_array_equal(batch["mask"], [1, 0, 0])


def test_a_huge_image_in_a_folder_is_named_before_anything_is_written(tmp_path):
    for split in ("train", "test"):
        folder = tmp_path / "photos" / split / "cat"
        folder.mkdir(parents=True)
        (folder / "1.jpg").write_bytes(BAD["huge jpeg"][0] if split == "test" else ODD["gray"])
    with pytest.raises(ImageFolderError, match=r"test/cat/1\.jpg \(it has 20,000 x 20,000 pixels"):
        prepare_image_folder(tmp_path / "photos", "photos", tmp_path / "data")
    assert not (tmp_path / "data" / "photos" / "1.0.0").exists()


def test_the_size_of_any_jpeg_is_found():
    for options in ({}, {"progressive": True}):
        assert read_any_size(encode("RGB", "JPEG", **options)) == (30, 20)
    assert read_any_size(b"\xff\xd8\xff\xd9") is None


@settings(max_examples=200, deadline=None, derandomize=True)
@given(name=st.sampled_from(sorted(ODD)), data=st.data())
def test_changed_bytes_give_an_image_or_the_reason_why_not(name, data):
    whole = bytearray(ODD[name])
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    for decode in DECODERS.values():
        try:
            image = decode(bytes(whole))
        except CorruptImageError:
            continue
        assert image.ndim == 3
        assert image.dtype == np.uint8
