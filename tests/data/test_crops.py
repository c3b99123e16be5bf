import functools
import pickle

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
    rows, columns = crop.shape[:2]
    values = crop.astype(float)
    (top, bottom), (left, right) = values[[0, -1], :, 0].mean(1), values[:, [0, -1], 1].mean(0)
    height, width = (bottom - top) * rows / (rows - 1), (right - left) * columns / (columns - 1)
    return top - (height / rows - 1) / 2, left - (width / columns - 1) / 2, height, width


def apply(crop: crops.Crop, image: np.ndarray) -> np.ndarray:
    out = np.full((*crop.size, 3), 77, np.uint8)
    crop.write(image, out)
    return out


def numbers(seed: int) -> list[float]:
    return np.random.default_rng(seed).random(crops.MAX_NUMBERS).tolist()


def choose_inception(image, uniform, side=64, area=(0.05, 1.0), aspect=(0.75, 4 / 3)):
    return crops.inception_crop(
        *image.shape[:2],
        uniform,
        size=(side, side),
        area=area,
        aspect=aspect,
        interpolation="bilinear",
    )


def inception(image, seed, **options):
    return apply(choose_inception(image, numbers(seed), **options), image)


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
    crop = inception(image, 0, side=32, area=(1.0, 1.0), aspect=(1.0, 1.0))
    np.testing.assert_array_equal(crop, image)


@pytest.mark.parametrize("shape", [(10, 200), (200, 10)])
def test_inception_falls_back_to_the_centre(shape):
    image = coordinates(*shape)
    crop = inception(image, 0, side=10, area=(0.9, 1.0), aspect=(1.0, 1.0))
    long = crop[..., int(shape[1] == 200)]
    assert (long.min(), long.max()) == (95, 104)


def test_inception_of_one_pixel():
    assert inception(coordinates(1, 1), 0, side=4).shape == (4, 4, 3)


def test_inception_needs_no_rows_below_the_crop():
    image = coordinates(200, 240)
    rows = []
    for seed in range(50):
        crop = choose_inception(image, numbers(seed))
        np.testing.assert_array_equal(apply(crop, image[: crop.rows]), apply(crop, image))
        rows.append(crop.rows)
    assert min(rows) < 100
    assert max(rows) <= 200


def test_inception_takes_the_numbers_in_order():
    # Nine squares of the area 2000 * 0.99 do not fit into 10 rows; one of 2000 * 0.05 fits.
    uniform = [0.99, 0.5] * 9 + [0.0, 0.5] + [0.0, 0.5]
    assert len(uniform) == crops.MAX_NUMBERS
    image = coordinates(10, 200)
    crop = choose_inception(image, uniform, side=10, aspect=(1.0, 1.0))
    # (200 - 10 + 1) * 0.5 is 95.5.
    np.testing.assert_array_equal(apply(crop, image), image[:, 95:105])


def padded(image, seed, padding=4, size=(32, 32)):
    crop = crops.pad_crop(
        *image.shape[:2], numbers(seed), size=size, padding=padding, interpolation="bilinear"
    )
    return apply(crop, image)


def centre(image, size, fraction):
    crop = crops.center_crop(
        *image.shape[:2], size=size, fraction=fraction, interpolation="bilinear"
    )
    return apply(crop, image)


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


def test_pad_crop_without_padding_far_outside_and_of_another_size():
    image = coordinates(32, 32)
    np.testing.assert_array_equal(padded(image, 0, padding=0), image)
    assert padded(coordinates(4, 4), 1, padding=50, size=(4, 4)).max() == 0
    resized = padded(np.full((64, 48, 3), 200, np.uint8), 3)
    assert resized.shape == (32, 32, 3)
    assert set(np.unique(resized)) <= {0, 200}


def test_squash_ignores_the_aspect():
    image = coordinates(40, 80)
    crop = apply(crops.squash(40, 80, size=(20, 20), interpolation="area"), image)
    np.testing.assert_array_equal(crop[0, :, 1], np.arange(20) * 4 + 2)  # 1.5 rounds to even
    np.testing.assert_allclose(crop[:, 0, 0].astype(float), np.arange(20) * 2 + 0.5, atol=0.5)


@pytest.mark.parametrize("portrait", [False, True])
def test_center_without_resizing(portrait):
    # round(48 / 0.75) = 64 is the short side already.
    shape, row, column = ((96, 64), 24, 8) if portrait else ((64, 96), 8, 24)
    crop = centre(coordinates(*shape), (48, 48), 0.75)
    np.testing.assert_array_equal(crop, coordinates(*shape)[row : row + 48, column : column + 48])


def test_center_resizes_the_short_side():
    # As torchvision: 100 x 200 becomes 256 x 512, and the middle 224 columns cover 87.5 of 200.
    crop = centre(coordinates(100, 200), (224, 224), 0.875)
    top, left, height, width = rectangle(crop)
    assert (top, left) == (pytest.approx(6.25, abs=0.7), pytest.approx(56.25, abs=0.7))
    assert (height, width) == (pytest.approx(87.5, abs=1), pytest.approx(87.5, abs=1))


@pytest.mark.parametrize("shape", [(31, 500), (33, 32), (7, 7), (1, 90)])
def test_center_of_awkward_shapes(shape):
    crop = centre(np.zeros((*shape, 3), np.uint8), (32, 32), 0.9)
    assert not crop.any()


def test_central_fraction_keeps_the_middle_of_both_sides():
    crop = crops.central_fraction_crop(64, 128, size=(32, 32), fraction=0.5, interpolation="area")
    crop = apply(crop, coordinates(64, 128))
    np.testing.assert_array_equal(crop[:, 0, 0], np.arange(16, 48))
    np.testing.assert_allclose(crop[0, :, 1], np.arange(32, 96, 2) + 0.5, atol=0.5)


def test_central_fraction_rounds_as_tensorflow():
    # tf.image.central_crop of 101 at 0.875: it starts at int(101 * 0.125 / 2) = 6, both ends.
    crop = crops.central_fraction_crop(
        101, 101, size=(89, 89), fraction=0.875, interpolation="bilinear"
    )
    crop = apply(crop, coordinates(101, 101))
    np.testing.assert_array_equal(crop, coordinates(101, 101)[6:95, 6:95])


@pytest.mark.parametrize(
    "shape", [(48, 40), (41, 33), (32, 60), (20, 40), (40, 20), (20, 21), (1, 1)]
)
def test_window_is_the_middle_of_the_image_as_it_is_and_black_around_it(shape):
    image = coordinates(*shape)
    top, left = (shape[0] - 32) // 2, (shape[1] - 24) // 2
    want = PIL.Image.fromarray(image).crop((left, top, left + 24, top + 32))
    crop = crops.window_crop(*shape, size=(32, 24))
    assert crop.rows == min(max(top, 0) + 32, shape[0])
    for given in (image, image[: crop.rows]):
        np.testing.assert_array_equal(apply(crop, given), np.asarray(want))


CROPS = {
    "inception": functools.partial(
        crops.inception_crop, area=(0.3, 0.6), aspect=(0.75, 4 / 3), interpolation="area"
    ),
    "pad_crop": functools.partial(crops.pad_crop, padding=5, interpolation="area"),
    "none": functools.partial(crops.squash, interpolation="area"),
    "center": functools.partial(crops.center_crop, fraction=0.8, interpolation="area"),
    "central_fraction": functools.partial(
        crops.central_fraction_crop, fraction=0.9, interpolation="area"
    ),
    "window": crops.window_crop,
}


@pytest.mark.parametrize("size", [(48, 48), (32, 48), (48, 32)], ids=str)
@pytest.mark.parametrize("shape", [(160, 120), (100, 200), (40, 40)], ids=str)
@pytest.mark.parametrize("name", CROPS)
def test_a_rectangle_moves_as_to_output_says(name, shape, size):
    height, width = shape
    box = np.array([[width * 0.35, height * 0.4], [width * 0.7, height * 0.65]]).round()
    image = np.zeros((*shape, 3), np.uint8)
    (left, top), (right, bottom) = box.astype(int)
    image[top:bottom, left:right] = 255
    crop = CROPS[name](*shape, numbers(1), size=size)
    assert crop.size == size
    assert pickle.loads(pickle.dumps(crop)) == crop
    # A line of the output through the rectangle is as bright as the rectangle is long on it.
    start, stop = np.clip(crop.to_output(box), 0, size[::-1])
    x, y = ((start + stop) / 2).astype(int)
    out = apply(crop, image)[..., 0] / 255
    want = np.stack([start, stop])
    for line, found in ((out[y], want[:, 0]), (out[:, x], want[:, 1])):
        bright = np.flatnonzero(line > 0.5)
        np.testing.assert_allclose([bright[0], bright[-1] + 1], found, atol=0.75)


def test_points_outside_stay_outside():
    crop = crops.window_crop(100, 60, size=(50, 80))
    points = np.array([[0.0, 0.0], [60.0, 100.0], [30.0, 50.0]])
    np.testing.assert_array_equal(crop.to_output(points), [[10, -25], [70, 75], [40, 25]])


@pytest.mark.parametrize(("shape", "resized"), [((100, 400), (40, 160)), ((300, 100), (180, 60))])
def test_center_covers_a_rectangle(shape, resized):
    crop = crops.center_crop(*shape, size=(32, 48), fraction=0.8, interpolation="bilinear")
    assert crop.resized == resized
    assert crop.offset == ((resized[0] - 32) // 2, (resized[1] - 48) // 2)
    assert crop.rows == shape[0]
