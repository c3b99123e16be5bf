"""Stands for train.py where only its end counts: `--config.seed` says how it ends.

0 complete; 1 an error; 2 preempted once; 3 always preempted; 4 its parent is killed once.
"""

import os
import pathlib
import signal
import sys
import time


def main() -> None:
    flags = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:])
    directory = pathlib.Path(flags["workdir"])
    seed = int(flags["config.seed"])
    is_first = not directory.exists()
    directory.mkdir(exist_ok=True)
    if seed == 1:
        sys.exit("error: nothing works.")
    if seed == 3 or (seed == 2 and is_first):
        sys.exit(143)
    if seed == 4 and is_first:
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)
    (directory / "result.json").write_text("{}")


if __name__ == "__main__":
    main()
