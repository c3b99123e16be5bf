"""Says whether the input or the training step limits the speed of a config on this machine.

    python scripts/input_or_step.py --config=configs/cifar10.py
    python scripts/input_or_step.py --config=configs/cifar10.py --config.data.num_workers=8

Prints images per second of the input alone, of the step alone on one fixed batch, and of both
together as in training. Every key of the config is a flag, as for train.py; with
--config.data.fake=True the input costs next to nothing. Nothing is written.
"""

import pathlib
import sys

from mobilenet.runtime.huge_pages import use_huge_pages

if __name__ == "__main__":
    use_huge_pages()  # It starts this program again: before the imports that take seconds.

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # for benchmarks/

from absl import flags
from ml_collections import config_flags

from benchmarks.throughput import measure_throughput
from mobilenet.runtime.entry_point import run

_CONFIG = config_flags.DEFINE_config_file("config", help_string="Config file of the experiment.")
_SECONDS = flags.DEFINE_float("seconds", 10.0, "The least duration of each measurement.", 0.0)
flags.mark_flag_as_required("config")


def main() -> None:
    print(measure_throughput(_CONFIG.value, seconds=_SECONDS.value))


if __name__ == "__main__":
    run(main)
