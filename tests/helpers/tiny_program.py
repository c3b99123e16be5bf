"""Runs a script on the network of the fixture `tiny_network`, in a process of its own.

python tiny_program.py SCRIPT WORDS...
"""

import runpy
import sys

from mobilenet.networks import architecture
from mobilenet.runtime import hosts

architecture.V1_ROWS = architecture.V1_ROWS[:2]
hosts._HEARTBEAT_SECONDS = 10  # what waits for a lost process waits less

if __name__ == "__main__":
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
