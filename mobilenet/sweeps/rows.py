"""The rows of a sweep: which keys of the base config each run sets, and to what.

A row maps dotted keys to values, such as {"model.width": 0.5, "seed": 1}. An axis is a list of
rows, or a mapping from keys to lists of values.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = dict[str, Any]
Axis = Mapping[str, Sequence[Any]] | Sequence[Row]


def product(*axes: Axis) -> list[Row]:
    """Returns every combination; the last axis, and the last key of a mapping, changes fastest.

    `product({"model.width": [0.5, 1.0], "model.resolution": [24, 32]}, seeds(3))` has 12 rows.

    Raises:
      ValueError: two axes set the same key.
    """
    return [_merged(rows) for rows in itertools.product(*_as_lists(axes))]


def zipped(*axes: Axis) -> list[Row]:
    """Returns the first of all axes together, then the second of all, and so on.

    `zipped({"batch_size": [64, 128], "schedule.learning_rate": [0.1, 0.2]})` has 2 rows.

    Raises:
      ValueError: the axes differ in length, or two of them set the same key.
    """
    lists = _as_lists(axes)
    lengths = sorted({len(rows) for rows in lists})
    if len(lengths) > 1:
        raise ValueError(f"What is zipped must be equally long, not {lengths[0]} and {lengths[1]}.")
    return [_merged(rows) for rows in zip(*lists, strict=True)]


def chain(*rows: Iterable[Row]) -> list[Row]:
    """Returns the rows of all lists, one list after the other; a row that was there is left out."""
    unique: list[Row] = []
    for row in itertools.chain(*rows):
        if row not in unique:
            unique.append(row)
    return unique


def seeds(count: int) -> list[Row]:
    """Returns a row for each of the seeds 0 to count - 1."""
    return [{"seed": seed} for seed in range(count)]


def _as_lists(axes: Iterable[Axis]) -> list[list[Row]]:
    lists: list[list[Row]] = []
    for axis in axes:
        if isinstance(axis, Mapping):
            lists += [[{key: value} for value in values] for key, values in axis.items()]
        else:
            lists.append(list(axis))
    return lists


def _merged(rows: Iterable[Row]) -> Row:
    merged: Row = {}
    for row in rows:
        if twice := merged.keys() & row.keys():
            raise ValueError(f"Two axes set {sorted(twice)[0]}.")
        merged |= row
    return merged
