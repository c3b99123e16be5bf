import numpy as np
import PIL.Image
import pytest

from mobilenet.data import crops


def coordinates(height: int, width: int) -> np.ndarray:
    """Channel 0 is the row, channel 1 the column, channel 2 is 255."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, np.full_like(rows, 255)], -1).astype(np.uint8)


def rectangle(crop: np.ndarray) -> tuple[float, float, float, float]:
    """Top, left, height, width of the part of `coordinates` that a bilinear resize shows."""
    side = crop.shape[0]
    values = crop.astype(float)
    (top, bottom), (left, right) = values[[0, -1], :, 0].mean(1), values[:, [0, -1], 1].mean(0)
    height, width = (
        (end - start) * side / (side - 1) for start, end in [(top, bottom), (left, right)]
    )
    return top - (height / side - 1) / 2, left - (width / side - 1) / 2, height, width


def apply(crop: crops.Crop, image: np.ndarray, resolution: int) -> np.ndarray:
    out = np.full((resolution, resolution, 3), 77, np.uint8)
    crop.write(image, out)
    return out


def numbers(seed: int) -> list[float]:
    return np.random.default_rng(seed).random(crops.MAX_NUMBERS).tolist()


def choose_inception(image, uniform, area=(0.05, 1.0), aspect=(0.75, 4 / 3)):
    return crops.inception_crop(
        *image.shape[:2], uniform, area=area, aspect=aspect, interpolation="bilinear"
    )


def inception(image, seed, resolution=64, **options):
    return apply(choose_inception(image, numbers(seed), **options), image, resolution)


def test_inception_stays_within_the_ranges():
    image = coordinates(200, 240)
    tops, areas, aspects = [], [], []
    for seed in range(300):
        top, left, height, width = rectangle(inception(image, seed, area=(0.1, 0.3)))
        assert -1 <= top <= top + height <= 201
        assert -1 <= left <= left + width <= 241
        tops.append(top)
        areas.append(height * width / (200 * 240))
        aspects.append(width / height)
    assert 0.095 < min(areas) < 0.11
    assert 0.29 < max(areas) < 0.31
    assert 0.72 < min(aspects) < 0.78
    assert 1.29 < max(aspects) < 1.38
    # Uniform area and log-uniform aspect: means with standard errors 0.0033 and 0.0096.
    assert np.mean(areas) == pytest.approx(0.2, abs=0.012)
    assert np.mean(np.log(aspects)) == pytest.approx(0.0, abs=0.04)
    assert max(tops) > 90
    assert min(tops) < 3


def test_inception_of_the_whole_square_is_the_image():
    image = coordinates(32, 32)
    crop = inception(image, 0, resolution=32, area=(1.0, 1.0), aspect=(1.0, 1.0))
    np.testing.assert_array_equal(crop, image)


@pytest.mark.parametrize("shape", [(10, 200), (200, 10)])
def test_inception_falls_back_to_the_centre(shape):
    image = coordinates(*shape)
    crop = inception(image, 0, resolution=10, area=(0.9, 1.0), aspect=(1.0, 1.0))
    long = crop[..., int(shape[1] == 200)]
    assert (long.min(), long.max()) == (95, 104)


def test_inception_of_one_pixel():
    assert inception(coordinates(1, 1), 0, resolution=4).shape == (4, 4, 3)


def test_inception_needs_no_rows_below_the_crop():
    image = coordinates(200, 240)
    rows = []
    for seed in range(50):
        crop = choose_inception(image, numbers(seed))
        top = apply(crop, image[: crop.rows], 64)
        np.testing.assert_array_equal(top, apply(crop, image, 64))
        rows.append(crop.rows)
    assert min(rows) < 100
    assert max(rows) <= 200


def test_inception_takes_the_numbers_in_order():
    # Nine squares of the area 2000 * 0.99 do not fit into 10 rows; one of 2000 * 0.05 fits.
    uniform = [0.99, 0.5] * 9 + [0.0, 0.5] + [0.0, 0.5]
    assert len(uniform) == crops.MAX_NUMBERS
    image = coordinates(10, 200)
    crop = choose_inception(image, uniform, aspect=(1.0, 1.0))
    # (200 - 10 + 1) * 0.5 is 95.5.
    np.testing.assert_array_equal(apply(crop, image, 10), image[:, 95:105])


def padded(image, seed, padding=4, resolution=32):
    crop = crops.pad_crop(
        *image.shape[:2], numbers(seed), padding=padding, interpolation="bilinear"
    )
    return apply(crop, image, resolution)


def centre(image, resolution, fraction):
    crop = crops.center_crop(
        *image.shape[:2], resolution=resolution, fraction=fraction, interpolation="bilinear"
    )
    return apply(crop, image, resolution)


def test_pad_crop_shifts_uniformly_and_pads_with_black():
    image = coordinates(32, 32)
    with_border = np.pad(image, ((4, 4), (4, 4), (0, 0)))
    windows = {
        with_border[top : top + 32, left : left + 32].tobytes(): (top, left)
        for top in range(9)
        for left in range(9)
    }
    seen = [windows[padded(image, seed).tobytes()] for seed in range(2000)]
    assert set(seen) == set(windows.values())
    for offsets in zip(*seen, strict=True):
        # 222 of each expected, standard deviation 14.
        assert np.bincount(offsets).min() > 150


def test_pad_crop_without_padding_is_the_image():
    image = coordinates(32, 32)
    np.testing.assert_array_equal(padded(image, 0, padding=0), image)


def test_pad_crop_resizes_first():
    image = np.full((64, 48, 3), 200, np.uint8)
    crop = padded(image, 3)
    assert crop.shape == (32, 32, 3)
    assert set(np.unique(crop)) <= {0, 200}


def test_pad_crop_may_leave_the_image():
    assert padded(coordinates(4, 4), 1, padding=50, resolution=4).max() == 0


def test_squash_ignores_the_aspect():
    image = coordinates(40, 80)
    crop = apply(crops.squash(40, 80, interpolation="area"), image, 20)
    np.testing.assert_array_equal(crop[0, :, 1], np.arange(20) * 4 + 2)  # 1.5 rounds to even
    np.testing.assert_allclose(crop[:, 0, 0].astype(float), np.arange(20) * 2 + 0.5, atol=0.5)


@pytest.mark.parametrize("portrait", [False, True])
def test_center_without_resizing(portrait):
    # round(48 / 0.75) = 64 is the short side already.
    shape, row, column = ((96, 64), 24, 8) if portrait else ((64, 96), 8, 24)
    crop = centre(coordinates(*shape), 48, 0.75)
    np.testing.assert_array_equal(crop, coordinates(*shape)[row : row + 48, column : column + 48])


def test_center_resizes_the_short_side():
    # As torchvision: 100 x 200 becomes 256 x 512, and the middle 224 columns cover 87.5 of 200.
    crop = centre(coordinates(100, 200), 224, 0.875)
    top, left, height, width = rectangle(crop)
    assert (top, left) == (pytest.approx(6.25, abs=0.7), pytest.approx(56.25, abs=0.7))
    assert (height, width) == (pytest.approx(87.5, abs=1), pytest.approx(87.5, abs=1))


@pytest.mark.parametrize("shape", [(31, 500), (33, 32), (7, 7), (1, 90)])
def test_center_of_awkward_shapes(shape):
    crop = centre(np.zeros((*shape, 3), np.uint8), 32, 0.9)
    assert not crop.any()


def test_central_fraction_keeps_the_middle_of_both_sides():
    crop = crops.central_fraction_crop(64, 128, fraction=0.5, interpolation="area")
    crop = apply(crop, coordinates(64, 128), 32)
    np.testing.assert_array_equal(crop[:, 0, 0], np.arange(16, 48))
    np.testing.assert_allclose(crop[0, :, 1], np.arange(32, 96, 2) + 0.5, atol=0.5)


def test_central_fraction_rounds_as_tensorflow():
    # tf.image.central_crop of 101 at 0.875: it starts at int(101 * 0.125 / 2) = 6, both ends.
    crop = crops.central_fraction_crop(101, 101, fraction=0.875, interpolation="bilinear")
    crop = apply(crop, coordinates(101, 101), 89)
    np.testing.assert_array_equal(crop, coordinates(101, 101)[6:95, 6:95])


@pytest.mark.parametrize("shape", [(48, 40), (41, 33), (32, 60)])
def test_window_is_the_middle_of_the_image_as_it_is(shape):
    top, left = (shape[0] - 32) // 2, (shape[1] - 32) // 2
    crop = crops.window_crop(*shape, resolution=32)
    image = coordinates(*shape)
    assert crop.rows == top + 32
    for given in (image, image[: crop.rows]):
        np.testing.assert_array_equal(
            apply(crop, given, 32), image[top : top + 32, left : left + 32]
        )


@pytest.mark.parametrize("shape", [(20, 40), (40, 20), (20, 21), (1, 1)])
def test_window_is_black_where_the_image_is_smaller(shape):
    pillow = PIL.Image.fromarray(coordinates(*shape))
    top, left = (shape[0] - 32) // 2, (shape[1] - 32) // 2
    want = np.asarray(pillow.crop((left, top, left + 32, top + 32)))
    crop = crops.window_crop(*shape, resolution=32)
    np.testing.assert_array_equal(apply(crop, coordinates(*shape), 32), want)


def test_evaluation_decodes_the_whole_image():
    center = crops.center_crop(90, 70, resolution=32, fraction=0.5, interpolation="bilinear")
    fraction = crops.central_fraction_crop(90, 70, fraction=0.5, interpolation="bilinear")
    assert center.rows == fraction.rows == 90
