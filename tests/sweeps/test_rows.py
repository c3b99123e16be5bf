import pytest

from mobilenet.sweeps import chain, product, seeds, zipped


def test_product_has_every_combination_and_the_last_axis_changes_fastest():
    assert product({"a": [1, 2], "b": ["x", "y"]}, [{"c": 0}]) == [
        {"a": 1, "b": "x", "c": 0},
        {"a": 1, "b": "y", "c": 0},
        {"a": 2, "b": "x", "c": 0},
        {"a": 2, "b": "y", "c": 0},
    ]


def test_zipped_goes_through_all_axes_together():
    assert zipped({"a": [1, 2], "b": [3, 4]}, seeds(2)) == [
        {"a": 1, "b": 3, "seed": 0},
        {"a": 2, "b": 4, "seed": 1},
    ]


def test_zipped_axes_are_equally_long():
    with pytest.raises(ValueError, match="equally long, not 2 and 3"):
        zipped({"a": [1, 2]}, seeds(3))


def test_chain_leaves_out_a_row_that_was_there():
    rows = chain(product({"a": [1, 2]}), [{"a": 2}, {"a": 2, "b": 1}])
    assert rows == [{"a": 1}, {"a": 2}, {"a": 2, "b": 1}]


@pytest.mark.parametrize("combine", [product, zipped])
def test_no_key_is_set_twice(combine):
    with pytest.raises(ValueError, match="Two axes set seed"):
        combine(seeds(2), {"seed": [5, 6]})
