"""TrivialAugment and RandAugment: operations, magnitudes, and what is drawn."""

import numpy as np
import pytest
from PIL import Image

from mobilenet import config as base
from mobilenet.data.policy import (
    OPERATIONS,
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
# Red rises by 10 to the right, green by 10 downwards, blue is the same everywhere.
_ROWS, _COLUMNS = np.mgrid[:8, :12]
_RAMPS = np.stack([10 * _COLUMNS, 10 * _ROWS, np.full_like(_ROWS, 50)], -1).astype(np.uint8)
_RED, _GREEN, _BLUE = np.moveaxis(_RAMPS.astype(float), -1, 0)
_INNER = np.s_[2:-2, 2:-2]


def _operate(name, image, magnitude):
    before = image.copy()
    result = np.asarray(OPERATIONS[name](Image.fromarray(image), magnitude))
    np.testing.assert_array_equal(image, before)
    assert (result.shape, result.dtype) == (image.shape, np.uint8)
    return result


@pytest.mark.parametrize(
    ("name", "magnitude", "red", "green"),
    [
        ("identity", 0, _RED, _GREEN),
        # The place where a pixel of the result was before: shears keep the edge at the corner.
        ("shear_x", 0.2, _RED + 0.2 * (_GREEN + 5), _GREEN),
        ("shear_x", -0.2, _RED - 0.2 * (_GREEN + 5), _GREEN),
        ("shear_y", 0.2, _RED, _GREEN + 0.2 * (_RED + 5)),
        ("translate_x", 2.9, _RED - 20, _GREEN),
        ("translate_x", -1.9, _RED + 10, _GREEN),
        ("translate_y", 2.9, _RED, _GREEN - 20),
        ("rotate", 180, _RED[:, ::-1], _GREEN[::-1]),
    ],
)
def test_pixels_move(name, magnitude, red, green):
    result = _operate(name, _RAMPS, magnitude)
    np.testing.assert_allclose(result[_INNER][..., 0], red[_INNER], atol=1)
    np.testing.assert_allclose(result[_INNER][..., 1], green[_INNER], atol=1)
    assert (result[_INNER][..., 2] == 50).all()


def test_it_is_black_outside():
    assert not _operate("translate_x", _RAMPS, 3.0)[:, :3].any()
    assert not _operate("translate_y", _RAMPS, -3.0)[-3:].any()
    assert not _operate("rotate", _RAMPS, 45.0)[0, 0].any()


def test_a_rotation_is_counter_clockwise():
    image = np.zeros((8, 8, 3), np.uint8)
    image[0] = 255
    np.testing.assert_array_equal(_operate("rotate", image, 90.0), np.rot90(image))


# ITU-R 601-2.
_LUMA = (0.299 * _RED + 0.587 * _GREEN + 0.114 * _BLUE)[..., None]


@pytest.mark.parametrize(
    ("name", "magnitude", "expected"),
    [
        ("brightness", 0.5, _RAMPS * 1.5),
        ("brightness", -1, _RAMPS * 0),
        ("color", -1, _LUMA + 0 * _RAMPS),
        ("color", 0.5, _LUMA + 1.5 * (_RAMPS - _LUMA)),
        ("contrast", -1, _LUMA.mean() + 0 * _RAMPS),
        ("contrast", 0.5, _LUMA.mean() + 1.5 * (_RAMPS - _LUMA.mean())),
        ("sharpness", -0.9, _RAMPS),  # ramps are smooth
        ("posterize", 4, _RAMPS // 16 * 16),
        ("posterize", 8, _RAMPS),
        ("solarize", 50.0, np.where(_RAMPS < 50, _RAMPS, 255 - _RAMPS)),
        ("solarize", 255.0, _RAMPS),
        ("auto_contrast", 0, np.stack([_RED * 255 / 110, _GREEN * 255 / 70, _BLUE], -1)),
    ],
)
def test_pixel_values_change(name, magnitude, expected):
    result = _operate(name, _RAMPS, magnitude)
    np.testing.assert_allclose(result, np.clip(expected, 0, 255), atol=1.01)


def test_sharpness_is_away_from_what_a_filter_smooths():
    image = np.zeros((5, 5, 3), np.uint8)
    image[2, 2] = 130
    # Pillow's ImageFilter.SMOOTH: 5 in the centre of eight ones.
    smooth = _operate("sharpness", image, -1.0)[1:4, 1:4, 0]
    np.testing.assert_array_equal(smooth, [[10, 10, 10], [10, 50, 10], [10, 10, 10]])
    assert _operate("sharpness", image, 0.99)[2, 2, 0] == 130 + int(0.99 * 80)


@pytest.mark.parametrize(
    ("values", "stretched", "equal"),
    [
        ([7], [7], [7]),
        ([0, 255], [0, 255], [0, 255]),
        ([3, 200], [0, 255], [0, 255]),
        ([10, 11, 12], [0, 127, 255], [0, 127, 255]),
    ],
)
def test_histograms_with_few_values(values, stretched, equal):
    # As many pixels of each value, a multiple of 255 below the highest of three.
    image = np.resize(np.uint8(values), (51, 75))[..., None].repeat(3, -1)
    for name, expected in (("auto_contrast", stretched), ("equalize", equal)):
        table = dict(zip(values, expected, strict=True))
        want = np.vectorize(table.get)(image)
        np.testing.assert_allclose(_operate(name, image, 0.0), want, atol=1)


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
        assert [choice.name for choice in choices] == _NAMES
        for name, numbers in table.items():
            magnitudes = choices[_NAMES.index(name)].magnitudes
            assert len(magnitudes) == 31
            np.testing.assert_allclose([magnitudes[i] for i in (0, 9, 30)], numbers)
        signed = {name for name, choice in zip(_NAMES, choices, strict=True) if choice.is_signed}
        assert signed == set(_NAMES[1:10])


@pytest.fixture
def asked(monkeypatch):
    """Replaces all operations by ones that write down what they are asked for."""
    asked = []
    for name in _NAMES:

        def operation(picture, magnitude, name=name):
            asked.append((name, magnitude))
            return picture

        monkeypatch.setitem(OPERATIONS, name, operation)
    return asked


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
