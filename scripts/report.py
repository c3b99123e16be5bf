"""Writes one HTML page to explore runs in a browser: a table, the trade-off, and every curve.

    python scripts/report.py runs/tradeoff --out=report.html
    python scripts/report.py results/tradeoff.jsonl runs/one_more

A path is a run directory, a folder of them, or a .jsonl file of complete runs. The page holds all
it needs and loads nothing, so it can be mailed, stored and opened anywhere.
"""

from collections.abc import Sequence

from absl import flags

from mobilenet.errors import UserError
from mobilenet.report.page import write_page
from mobilenet.runs.finished import read_runs
from mobilenet.runtime.entry_point import run

_OUT = flags.DEFINE_string("out", "report.html", "Where to write the page.")


def main(paths: Sequence[str]) -> None:
    if not paths:
        raise UserError("Name at least one run directory, a folder of them, or a .jsonl file.")
    write_page(read_runs(paths), _OUT.value)
    print(f"Wrote {_OUT.value}: open it in a browser.")


if __name__ == "__main__":
    run(main, takes_words=True)
