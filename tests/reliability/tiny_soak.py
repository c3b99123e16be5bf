"""Runs scripts/soak.py on the network of the fixture `tiny_network`, in all its processes."""

import pathlib
import runpy

from mobilenet.networks import architecture
from mobilenet.runtime.entry_point import run

architecture.V1_ROWS = architecture.V1_ROWS[:2]

if __name__ == "__main__":
    # This file stays the main module, which the processes that are killed import as well.
    script = pathlib.Path(__file__).parents[2] / "scripts" / "soak.py"
    run(runpy.run_path(str(script), run_name="soak")["main"])
