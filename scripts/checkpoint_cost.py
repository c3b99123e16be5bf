"""Measures what checkpoints cost, and what a kill at the worst moment loses.

    python scripts/checkpoint_cost.py --config=configs/cifar10.py

Steps without a save and with one are measured in turn. Every key of the config is a flag, as for
train.py; checkpoints go to the temporary folder, TMPDIR, and are removed.
"""

import pathlib
import sys

from mobilenet.runtime.huge_pages import use_huge_pages

if __name__ == "__main__":
    use_huge_pages()  # It starts this program again: before the imports that take seconds.

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # for benchmarks/

from absl import flags
from ml_collections import config_flags

from benchmarks.checkpoint_cost import measure_checkpoints
from mobilenet.runtime.entry_point import run

_CONFIG = config_flags.DEFINE_config_file("config", help_string="Config file of the run.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Measurements of each kind.", 1)
flags.mark_flag_as_required("config")


def main() -> None:
    print(measure_checkpoints(_CONFIG.value, rounds=_ROUNDS.value))


if __name__ == "__main__":
    run(main)
