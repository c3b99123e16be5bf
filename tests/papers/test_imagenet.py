"""The published accuracies, as printed."""

from mobilenet.papers.imagenet import SLIM_V1, SLIM_V2, V2_TABLE_4, published_by, read_published


def test_every_row_has_a_source():
    rows = read_published()
    assert len(rows) > 100
    assert all(row.source for row in rows)
    assert all(row.top1 is None or 30 < row.top1 < 100 for row in rows)


def test_what_a_source_does_not_print_is_none():
    # V1 figures 4 and 5 plot this one without a number.
    plotted = [row for row in read_published() if "no number printed" in row.source]
    assert plotted
    assert all(row.top1 is None and row.madds_millions is None for row in plotted)


def test_v2_table_4():
    rows = {(row.family, row.width): row for row in published_by(V2_TABLE_4)}
    row = rows["v2", "1.4"]
    assert (row.top1, row.params_millions, row.madds_millions) == (74.7, 6.9, 585.0)
    assert (row.resolution, row.top5) == (224, None)


def test_slim_has_the_whole_grids():
    assert len(published_by(SLIM_V1)) == 4 * 4
    assert len(published_by(SLIM_V2)) == 4 * 5 + 2
