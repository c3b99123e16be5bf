import itertools

import numpy as np
import pytest

from mobilenet.data import crops
from mobilenet.data.stream import NUMBERS, ShuffledStream, rows_in_order


def records(stream: ShuffledStream, positions: range) -> list[int]:
    return [row.record for row in stream.rows(positions)]


@pytest.mark.parametrize("num_examples", [1, 2, 7, 1000])
def test_every_epoch_holds_every_record_once(num_examples):
    stream = ShuffledStream(num_examples, seed=3)
    for epoch in (0, 1, 12345):
        start = epoch * num_examples
        seen = records(stream, range(start, start + num_examples))
        assert sorted(seen) == list(range(num_examples))


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = [
        records(ShuffledStream(50, seed), range(50 * epoch, 50 * (epoch + 1)))
        for seed, epoch in itertools.product((0, 1, 2, 2**32 - 1), range(3))
    ]
    assert len({tuple(order) for order in orders}) == len(orders)


def test_all_orders_are_equally_likely():
    positions = range(3 * 6000)
    order = np.array(records(ShuffledStream(3, seed=0), positions)).reshape(-1, 3)
    counts = np.unique(order, axis=0, return_counts=True)[1]
    # 1000 of each of the six expected, standard deviation 29.
    assert len(counts) == 6
    assert 880 < counts.min() <= counts.max() < 1120


def test_a_row_depends_on_its_position_alone():
    stream = ShuffledStream(7, seed=5)
    rows = stream.rows(range(40))
    assert stream.rows(range(40)) == rows
    assert stream.rows(range(13, 29)) == rows[13:29]
    assert stream.rows(range(13, 29, 3)) == rows[13:29:3]
    assert stream.rows(range(39, 40)) == rows[39:]


def test_a_position_far_away():
    (row,) = ShuffledStream(1000, seed=5).rows(range(10**15, 10**15 + 1))
    assert 0 <= row.record < 1000
    assert len(row.numbers) == NUMBERS


def test_the_numbers_are_one_sequence_of_philox():
    rows = ShuffledStream(7, seed=5).rows(range(100))
    sequence = np.random.Generator(np.random.Philox(key=[5, 0])).random(100 * NUMBERS)
    np.testing.assert_array_equal(np.concatenate([row.numbers for row in rows]), sequence)


@pytest.mark.parametrize("more", [1, 4, 6])
def test_more_numbers_leave_the_first_as_they_are(more):
    plain, rows = (ShuffledStream(7, 5, number).rows(range(100)) for number in (0, more))
    assert [row.record for row in rows] == [row.record for row in plain]
    numbers = np.array([row.numbers for row in rows])
    assert numbers.shape == (100, NUMBERS + (4 if more <= 4 else 8))
    np.testing.assert_array_equal(numbers[:, :NUMBERS], [row.numbers for row in plain])
    # They are others than the first, and as well a function of the position.
    assert not np.isin(numbers[:, NUMBERS:], numbers[:, :NUMBERS]).any()
    assert ShuffledStream(7, 5, more).rows(range(13, 29, 3)) == rows[13:29:3]


def test_the_numbers_do_not_follow_the_record():
    # The same record in 2000 epochs: mean and correlation have a standard deviation of 0.006, 0.02.
    rows = ShuffledStream(3, seed=1).rows(range(6000))
    numbers = np.array([row.numbers for row in rows if row.record == 1])
    assert len(numbers) == 2000
    np.testing.assert_allclose(numbers.mean(0), 0.5, atol=0.03)
    assert np.abs(np.corrcoef(numbers.T) - np.eye(NUMBERS)).max() < 0.1


def test_there_are_enough_numbers_for_a_crop():
    assert crops.MAX_NUMBERS <= NUMBERS


def test_evaluation_reads_in_order():
    rows = rows_in_order(range(3, 9, 2))
    assert [(row.record, len(row.numbers)) for row in rows] == [(3, 0), (5, 0), (7, 0)]
