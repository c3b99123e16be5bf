"""Which record stands at a position of the stream of rows that batches are cut from."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt32

# Random numbers for each row; a whole number of Philox's blocks, so that it can start at any row.
NUMBERS = 24
_NUMBERS_PER_BLOCK = 4

# Second half of Philox's key: 0 for the numbers, 1 + epoch for the order, the last for what comes
# after the first numbers.
_NUMBERS_KEY = 0
_FIRST_ORDER_KEY = 1
_MORE_NUMBERS_KEY = 2**64 - 1


class Row(NamedTuple):
    """A record, and numbers uniform in [0, 1) for its augmentation."""

    record: int
    numbers: Sequence[float] = ()


def rows_in_order(positions: range) -> list[Row]:
    """The rows to evaluate: record i at position i, without random numbers."""
    return [Row(position) for position in positions]


@dataclasses.dataclass(frozen=True)
class ShuffledStream:
    """The rows to train on: epochs without end, each with every record once in an order of its own.

    A row is a function of (num_examples, seed, position) alone. Rows are looked up a batch at a
    time: Grain's own shuffle and a generator for each row cost 15 us a row, and 70 us in a dataset
    of 500, because that shuffle walks through a permutation of 65,536 numbers at least.

    Attributes:
      num_examples: size of the dataset, at least 1 and below 2**32.
      seed: 0 to 2**32 - 1.
      more_numbers: how many a row has, at least, besides the first `NUMBERS`, which stay the same.
    """

    num_examples: int
    seed: int
    more_numbers: int = 0

    def rows(self, positions: range) -> list[Row]:
        """The rows at ascending positions."""
        numbers = self._numbers(positions, _NUMBERS_KEY, NUMBERS // _NUMBERS_PER_BLOCK)
        if self.more_numbers:
            blocks = -(-self.more_numbers // _NUMBERS_PER_BLOCK)
            more = self._numbers(positions, _MORE_NUMBERS_KEY, blocks)
            numbers = np.concatenate([numbers, more], 1)
        epochs, places = np.divmod(np.asarray(positions), self.num_examples)
        records = np.empty(len(positions), np.int64)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            records[here] = _order(self.num_examples, self.seed, int(epoch))[places[here]]
        return list(map(Row, records.tolist(), numbers.tolist()))

    def _numbers(
        self, positions: range, key: int, blocks: int
    ) -> Float[np.ndarray, "rows numbers"]:
        counter = positions.start * blocks
        bits = np.random.Philox(key=np.array([self.seed, key], np.uint64), counter=counter)
        shape = (positions.stop - positions.start, blocks * _NUMBERS_PER_BLOCK)
        return np.random.Generator(bits).random(shape)[:: positions.step]


# The current epoch's and, while batches are prepared ahead, the next one's.
@functools.lru_cache(maxsize=2)
def _order(num_examples: int, seed: int, epoch: int) -> UInt32[np.ndarray, " n"]:
    # Sorting raw numbers, not numpy's own permutation, which may change with its release.
    keys = np.random.Philox(key=[seed, _FIRST_ORDER_KEY + epoch]).random_raw(num_examples)
    return np.argsort(keys, kind="stable").astype(np.uint32)
