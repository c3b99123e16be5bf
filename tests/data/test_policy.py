"""TrivialAugment and RandAugment: operations against Pillow, magnitudes, and what is drawn."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from mobilenet import config as base
from mobilenet.data import policy_operations as operations
from mobilenet.data.policy import (
    RandAugment,
    TrivialAugmentWide,
    make_policy,
    rand_choices,
    trivial_wide_choices,
)
from mobilenet.errors import ConfigError

_NAMES = [
    "identity",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "rotate",
    "brightness",
    "color",
    "contrast",
    "sharpness",
    "posterize",
    "solarize",
    "auto_contrast",
    "equalize",
]
_HEIGHT, _WIDTH = 40, 56


@pytest.fixture(scope="module")
def smooth():
    """A picture without sharp edges, in part of the range."""
    noise = np.random.default_rng(0).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    large = cv2.resize(noise, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC)
    return (large * 0.6 + 30).astype(np.uint8)


_ENHANCED = {
    "brightness": ImageEnhance.Brightness,
    "color": ImageEnhance.Color,
    "contrast": ImageEnhance.Contrast,
    "sharpness": ImageEnhance.Sharpness,
}


def _by_pillow(name, image, magnitude):
    picture = Image.fromarray(image)
    if name in _ENHANCED:
        picture = _ENHANCED[name](picture).enhance(1 + magnitude)
    elif name == "rotate":
        picture = picture.rotate(magnitude, Image.Resampling.BILINEAR)
    elif name == "posterize":
        picture = ImageOps.posterize(picture, int(magnitude))
    elif name == "solarize":
        picture = ImageOps.solarize(picture, magnitude)
    elif name == "auto_contrast":
        picture = ImageOps.autocontrast(picture)
    elif name == "equalize":
        picture = ImageOps.equalize(picture)
    elif name != "identity":
        # The affine map back, as torchvision's F.affine makes it: shears keep the corner.
        x, y = (magnitude, 0) if name.endswith("x") else (0, magnitude)
        matrix = (1, x, 0, y, 1, 0)
        if name.startswith("translate"):
            matrix = (1, 0, -int(x), 0, 1, -int(y))
        picture = picture.transform(
            picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
        )
    return np.asarray(picture)


# Tables of pixel values are Pillow's own but for rounding of float32; sums are rounded there twice.
_EXACT = {"identity", "translate_x", "translate_y", "posterize", "solarize", "equalize"}
_WARPED = {"shear_x", "shear_y", "rotate"}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("index", [0, 8, 19, 30])
@pytest.mark.parametrize("which", range(len(_NAMES)), ids=_NAMES)
def test_an_operation_is_pillows(smooth, which, index, sign):
    name, choice = _NAMES[which], trivial_wide_choices()[which]
    if sign < 0 and not choice.is_signed:
        return
    magnitude = sign * choice.magnitudes[index]
    before = smooth.copy()
    result = choice.apply(smooth, magnitude)
    np.testing.assert_array_equal(smooth, before)
    assert result.dtype == np.uint8
    difference = np.abs(result.astype(int) - _by_pillow(name, smooth, magnitude))
    if name in _EXACT:
        assert difference.max() == 0
    elif name in _WARPED:
        # Pillow leaves a hard edge where OpenCV blends with the black outside, one pixel wide.
        assert (difference > 3).mean() < 0.04
        assert difference.mean() < 2.5
    else:
        assert difference.max() <= 2
        assert difference.mean() < 0.8


@pytest.mark.parametrize("values", [[7], [0, 255], [3, 200]])
def test_histograms_with_few_values(values):
    image = np.random.default_rng(1).choice(np.uint8(values), (9, 5, 3))
    for name in ("auto_contrast", "equalize"):
        result = getattr(operations, name)(image, 0.0)
        np.testing.assert_array_equal(result, _by_pillow(name, image, 0.0))


def test_rotation_moves_the_left_down():
    # By 90 degrees counter-clockwise, what was on top comes to the left.
    image = np.zeros((8, 8, 3), np.uint8)
    image[0] = 255
    np.testing.assert_array_equal(operations.rotate(image, 90.0), np.rot90(image))


def test_the_magnitudes_are_torchvisions():
    # transforms/autoaugment.py: of 31 bins the first, the tenth and the last.
    expected = {
        "shear_x": (0, 0.297, 0.99),
        "translate_x": (0, 9.6, 32),
        "translate_y": (0, 9.6, 32),
        "rotate": (0, 40.5, 135),
        "brightness": (0, 0.297, 0.99),
        "sharpness": (0, 0.297, 0.99),
        "posterize": (8, 6, 2),
        "solarize": (255, 178.5, 0),
        "equalize": (0, 0, 0),
    }
    rand = expected | {
        "shear_x": (0, 0.09, 0.3),
        "translate_x": (0, 0.3 * 150 / 331 * 60, 150 / 331 * 60),
        "translate_y": (0, 0.3 * 150 / 331 * 50, 150 / 331 * 50),
        "rotate": (0, 9, 30),
        "brightness": (0, 0.27, 0.9),
        "sharpness": (0, 0.27, 0.9),
        "posterize": (8, 7, 4),
    }
    for choices, table in ((trivial_wide_choices(), expected), (rand_choices(50, 60), rand)):
        assert [choice.apply.__name__ for choice in choices] == _NAMES
        for name, numbers in table.items():
            magnitudes = choices[_NAMES.index(name)].magnitudes
            assert len(magnitudes) == 31
            np.testing.assert_allclose([magnitudes[i] for i in (0, 9, 30)], numbers)
        signed = {name for name, choice in zip(_NAMES, choices, strict=True) if choice.is_signed}
        assert signed == set(_NAMES[1:10])


def _record(monkeypatch):
    """Replaces all operations by ones that write down what they are asked for."""
    asked = []
    for name in _NAMES:

        def operation(image, magnitude, name=name):
            asked.append((name, magnitude))
            return image

        monkeypatch.setattr(operations, name, operation)
    trivial_wide_choices.cache_clear()
    rand_choices.cache_clear()
    return asked


@pytest.fixture
def asked(monkeypatch):
    yield _record(monkeypatch)
    trivial_wide_choices.cache_clear()
    rand_choices.cache_clear()


def test_trivial_augment_draws_all_that_there_is_equally_often(asked):
    image = np.zeros((8, 8, 3), np.uint8)
    number = 14_000
    for numbers in np.random.default_rng(2).random((number, 3)):
        TrivialAugmentWide()(image, numbers.tolist())
    names = [name for name, _ in asked]
    counts = np.array([names.count(name) for name in _NAMES])
    # Four standard deviations of 14,000 draws with probability 1 / 14.
    assert counts.sum() == number
    assert np.abs(counts - 1000).max() < 4 * (1000 * 13 / 14) ** 0.5
    degrees = np.array([magnitude for name, magnitude in asked if name == "rotate"])
    assert len(np.unique(np.round(np.abs(degrees), 3))) == 31
    assert abs((degrees < 0).mean() - 15 / 31) < 0.07
    assert abs(np.abs(degrees).mean() - 135 / 2) < 6


def test_rand_augment_draws_as_many_as_it_has_layers_with_one_magnitude(asked):
    image = np.zeros((50, 60, 3), np.uint8)
    policy = RandAugment(layers=3, magnitude=9)
    assert policy.numbers == 6
    for numbers in np.random.default_rng(3).random((1000, 6)):
        policy(image, numbers.tolist())
    assert len(asked) == 3000
    assert {round(abs(magnitude), 6) for name, magnitude in asked if name == "rotate"} == {9}
    assert {name for name, _ in asked} == set(_NAMES)
    # The layers choose apart from each other: a pair of equal ones is one in 14.
    pairs = np.array([name for name, _ in asked]).reshape(-1, 3)
    assert abs((pairs[:, 0] == pairs[:, 1]).mean() - 1 / 14) < 4 * (13 / 14**2 / 1000) ** 0.5


def test_the_extreme_numbers_choose_the_first_and_the_last(asked):
    image = np.zeros((8, 8, 3), np.uint8)
    below_one = np.nextafter(1, 0)
    TrivialAugmentWide()(image, [0.0] * 3)
    TrivialAugmentWide()(image, [below_one] * 3)
    assert [name for name, _ in asked] == ["identity", "equalize"]


def _config(**changes):
    config = base.get_config().augment
    config.update(changes)
    return config


def test_a_policy_is_made_by_its_name():
    assert make_policy(_config()) is None
    assert make_policy(_config(policy="trivial_wide")) == TrivialAugmentWide()
    rand = _config(policy="rand", rand_layers=3, rand_magnitude=15)
    assert make_policy(rand) == RandAugment(3, 15)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"policy": "auto"}, "policy is 'auto': it must be none or trivial_wide or rand"),
        ({"policy": "rand", "rand_layers": 0}, "rand_layers is 0: it must be at least 1"),
        ({"policy": "rand", "rand_magnitude": 31}, "rand_magnitude is 31: it must be from 0 to 30"),
    ],
)
def test_wrong_values_are_named(changes, words):
    with pytest.raises(ConfigError, match=f"config.augment.{words}"):
        make_policy(_config(**changes))
