import pytest

from mobilenet.runtime.formatting import format_duration, format_percent, format_table


def test_columns_are_as_wide_as_their_widest_cells():
    rows = [("run", "steps", "MB"), ("width=0.5", "1", "10"), ("b", "10", "")]
    assert format_table(rows, "lr").splitlines() == [
        "run        steps  MB",
        "width=0.5      1  10",
        "b             10",
    ]


def test_percents_have_two_digits():
    assert [format_percent(share) for share in (0.71834, None)] == ["71.83%", ""]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (249.0, "4 min 09 s"),
        (3 * 3600.0 + 7 * 60 + 59, "3 h 07 min"),
        (2 * 86_400.0 + 3 * 3600, "2 d 03 h"),
    ],
)
def test_durations_have_two_units(seconds, text):
    assert format_duration(seconds) == text
