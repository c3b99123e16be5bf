"""Names of slices; what libtpu makes of one is tested by the command."""

import pytest

from mobilenet.ahead import topology
from mobilenet.ahead.chips import CHIPS
from mobilenet.errors import UserError


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("v5e:3x3", "v5e has no slice '3x3'; it has 1x1, 2x2, 2x4, 4x4, 4x8, 8x8, 8x16, 16x16."),
        ("v4:4x4", "v4 has no slice '4x4'; it has 2x2x1, 2x2x2"),
        ("v5e", "v5e has no slice ''"),
        ("v9:2x2", "there is no chip 'v9' here; name one of v4, v5e, v5p, v6e"),
    ],
)
def test_a_slice_that_does_not_exist_is_answered_with_those_that_do(name, message):
    with pytest.raises(UserError, match="--topology=") as error:
        topology.find_chip(name)
    assert message in str(error.value)


def test_without_libtpu_the_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(topology, "has_libtpu", lambda: False)
    with pytest.raises(UserError, match=r"libtpu, which is not installed: pip install"):
        topology.describe_slice("v5e:2x2")


def test_every_chip_names_the_page_that_its_figures_are_from():
    # By hand from the tables of the four pages: GB or GiB, GB/s, TFLOP/s.
    found = {
        name: (chip.hbm, chip.bandwidth / 1e9, chip.peak / 1e12) for name, chip in CHIPS.items()
    }
    assert found == {
        "v4": (32 * 1024**3, 1200, 275),
        "v5e": (16 * 1000**3, 819, 197),
        "v5p": (95 * 1000**3, 2765, 459),
        "v6e": (32 * 1000**3, 1600, 918),
    }
    assert all(chip.source.endswith(name) for name, chip in CHIPS.items())
