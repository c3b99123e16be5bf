"""Checks a prepared dataset: counts, labels, sizes, pixels, and what cannot be decoded.

    python scripts/check_data.py --data=imagenet2012 --data_dir=~/tensorflow_datasets
    python scripts/check_data.py --data=imagenet2012 --full

Without --full it looks at 2,000 records of each split, at equal distances; with --full at all.
Exit status: 0 if the dataset is sound, 1 if anything is wrong.
"""

import sys
import time

from absl import flags

from mobilenet import config as base
from mobilenet.data.prepare.check import (
    check_dataset,
    find_missing_splits,
    format_split_check,
)
from mobilenet.runtime.entry_point import run
from mobilenet.runtime.environment import usable_cores

_DATA = flags.DEFINE_string("data", None, "Name of the dataset.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "The folder of all datasets; TFDS's by default.")
_FULL = flags.DEFINE_bool("full", False, "Look at every record.")
_SAMPLE = flags.DEFINE_integer("sample", 2_000, "Records of each split, without --full.", 1)
_THREADS = flags.DEFINE_integer("threads", None, "By default one for every processor.", 1)


class _Progress:
    """A line on standard error, rewritten in place on a terminal, or new every ten seconds."""

    def __init__(self) -> None:
        self._in_place = sys.stderr.isatty()
        self._every = 0.5 if self._in_place else 10.0
        self._last = time.monotonic()

    def __call__(self, split: str, done: int, total: int) -> None:
        if time.monotonic() - self._last < self._every:
            return
        self._last = time.monotonic()
        end = "\r" if self._in_place else "\n"
        print(f"{split}: {done:,} of {total:,}", end=end, file=sys.stderr, flush=True)


def main() -> int:
    config = base.get_config().data
    config.name, config.data_dir = _DATA.value, _DATA_DIR.value
    checks = check_dataset(
        config,
        sample=None if _FULL.value else _SAMPLE.value,
        threads=_THREADS.value or usable_cores(),
        progress=_Progress(),
    )
    missing = find_missing_splits(config)
    faults = len(missing)
    for check in checks:
        print(format_split_check(check), flush=True)
        faults += len(check.faults)
    for name in missing:
        print(f"{name}: FAULT: the split is missing")
    number = f"{faults} fault{'s' if faults > 1 else ''}, see FAULT above."
    print(number if faults else "No faults were found.")
    return 1 if faults else 0


if __name__ == "__main__":
    run(main)
