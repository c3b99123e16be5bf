"""Runs a script in which nothing may be unpickled and no program started: SCRIPT FLAGS...

Python announces both (sys.addaudithook; the events are in the library reference, "Audit events").
What happens all the same is printed to standard error, and ends the process with status 7.
"""

import os
import runpy
import sys

_FORBIDDEN = ("pickle.find_class", "subprocess.Popen", "os.system", "os.posix_spawn", "os.fork")


def _watch(event: str, arguments: tuple) -> None:
    # The library's own platform.uname starts it.
    is_uname = event == "subprocess.Popen" and arguments[0] == "uname"
    if event in _FORBIDDEN and not is_uname:
        sys.stderr.write(f"forbidden: {event} {arguments}\n")
        sys.stderr.flush()
        os._exit(7)


if __name__ == "__main__":
    sys.argv[:] = sys.argv[1:]
    sys.addaudithook(_watch)
    runpy.run_path(sys.argv[0], run_name="__main__")
