"""Trains a network: python train.py --config=configs/cifar10.py --workdir=runs/cifar10

Every key of the config is a flag, such as --config.model.width=0.5. The same command goes on
where a killed run was. Several hosts train together if each runs it: see docs/scaling.md.
Exit status: 0 complete, 1 an error, 134 (SIGABRT) another host was lost, 143 stopped by a signal
and saved; after the last two start again.
"""

import sys

from mobilenet.runtime.huge_pages import use_huge_pages

if __name__ == "__main__":
    use_huge_pages()  # It starts this program again: before the imports that take seconds.

from absl import flags
from ml_collections import config_flags

from mobilenet.evaluation.text import describe_metrics
from mobilenet.runtime.agreement import is_first
from mobilenet.runtime.entry_point import run
from mobilenet.runtime.hosts import joined_hosts
from mobilenet.runtime.signals import STOPPED
from mobilenet.training.loop import Stopped, train

_CONFIG = config_flags.DEFINE_config_file("config", help_string="Config file of the experiment.")
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Run directory, new or to go on with.", required=True
)
flags.mark_flag_as_required("config")


def main() -> int | None:
    with joined_hosts():
        try:
            result = train(_CONFIG.value, _WORKDIR.value)
        except Stopped as stopped:
            if is_first():
                print(stopped, file=sys.stderr)
            return STOPPED
        if is_first():
            print(
                f"{describe_metrics(result)} of {result['split']}, after {result['step']:,} steps: "
                f"{_WORKDIR.value}"
            )
    return None


if __name__ == "__main__":
    run(main)
