"""Measures what checkpoints cost, and what a kill at the worst moment loses.

    python scripts/checkpoint_cost.py --config=configs/cifar10.py

Steps without a save and with one are measured in turn. Every key of the config is a flag, as for
train.py; checkpoints go to the temporary folder, TMPDIR, and are removed.
"""

from mobilenet.huge_pages import use_huge_pages

if __name__ == "__main__":
    use_huge_pages()  # It starts this program again: before the imports that take seconds.

from absl import flags
from ml_collections import config_flags

from mobilenet.entry_point import run
from mobilenet.reliability.checkpoint_cost import measure_checkpoints

_CONFIG = config_flags.DEFINE_config_file("config", help_string="Config file of the run.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Measurements of each kind.", 1)
flags.mark_flag_as_required("config")


def main() -> None:
    print(measure_checkpoints(_CONFIG.value, rounds=_ROUNDS.value))


if __name__ == "__main__":
    run(main)
