"""Prints the results of complete runs, with mean and standard deviation over seeds.

    python scripts/results.py runs/bottleneck runs/shortcut
    python scripts/results.py results/tradeoff.jsonl --format=latex
    python scripts/results.py runs/bottleneck --format=jsonl > results/bottleneck.jsonl

A path is a run directory, a folder of them, or a file of lines that --format=jsonl wrote: one run
each, with all that tables and figures need. Runs that are not complete are left out.
"""

import sys
from collections.abc import Sequence

from absl import flags

from mobilenet.errors import UserError
from mobilenet.runs.finished import read_runs, to_line
from mobilenet.runs.groups import group_runs
from mobilenet.runs.results_table import format_results
from mobilenet.runtime.entry_point import run

_FORMAT = flags.DEFINE_enum(
    "format", "table", ["table", "csv", "json", "latex", "jsonl"], "What to print."
)


def main(paths: Sequence[str]) -> None:
    if not paths:
        raise UserError("Name at least one run directory, a folder of them, or a .jsonl file.")
    runs = read_runs(paths)
    if _FORMAT.value == "jsonl":
        sys.stdout.writelines(to_line(run) + "\n" for run in runs)
    else:
        print(format_results(group_runs(runs), _FORMAT.value))


if __name__ == "__main__":
    run(main, takes_words=True)
