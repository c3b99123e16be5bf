"""Reads damaged images and files of weights, and says what went wrong.

    python scripts/fuzz.py --seconds=600
    python scripts/fuzz.py --seconds=60 --seed=1 --save_to=findings

Prints how many inputs each reader got, how many of them it read, and every finding: anything but
success or an error with a sentence. Inputs follow from the seed and their number; those with
findings are saved. Exit status: 0 without findings, 1 with.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # for tests/

from absl import flags

from mobilenet.runtime.entry_point import run
from tests.reliability.fuzz import fuzz

_SECONDS = flags.DEFINE_float("seconds", 600.0, "How long.", 0.0)
_SEED = flags.DEFINE_integer("seed", 0, "Of the inputs.", 0)
_SAVE_TO = flags.DEFINE_string("save_to", "findings", "Folder for inputs with findings.")


def main() -> int:
    report = fuzz(_SEED.value, seconds=_SECONDS.value, save_to=pathlib.Path(_SAVE_TO.value))
    print(report)
    for finding in report.findings:
        print(f"{finding.reader}, input {finding.number}: {finding.what}")
    return 1 if report.findings else 0


if __name__ == "__main__":
    run(main)
