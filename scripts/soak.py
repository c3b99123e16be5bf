"""Kills a short run at random moments, resumes it, and compares its end with an undisturbed one's.

    python scripts/soak.py --config=configs/quickstart.py --config.total_epochs=None \\
        --config.total_steps=40 --config.checkpoint.every_steps=4 --kills=50 --workdir=/tmp/soak

Every kill is a SIGKILL at a moment drawn from the duration of the run, which counts from its first
step. Prints a line for each: what the run was doing, and whether all arrays and metrics were equal
to the bit. Exit status: 0 if they were, 1 if not; the directories of runs that differ stay in
--workdir.
"""

import functools
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # for tests/

from absl import flags
from ml_collections import config_flags

from mobilenet.runtime.entry_point import run
from tests.reliability.soak import soak

_CONFIG = config_flags.DEFINE_config_file("config", help_string="Config file of a short run.")
_WORKDIR = flags.DEFINE_string("workdir", None, "New folder for the runs.", required=True)
_KILLS = flags.DEFINE_integer("kills", 50, "How many runs are killed.", 1)
_SEED = flags.DEFINE_integer("seed", 0, "Of the moments.", 0)
flags.mark_flag_as_required("config")


def main() -> int:
    result = soak(
        _CONFIG.value,
        pathlib.Path(_WORKDIR.value),
        kills=_KILLS.value,
        seed=_SEED.value,
        watch=functools.partial(print, flush=True),
    )
    print(result)
    return 0 if result.is_sound else 1


if __name__ == "__main__":
    run(main)
