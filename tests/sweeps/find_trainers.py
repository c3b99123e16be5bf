"""Which processes train in a directory, as /proc shows them."""

import pathlib


def find_trainers(directory: pathlib.Path) -> list[int]:
    """Returns the processes of train.py whose run directory is this one, or below it."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        runs = [word.removeprefix("--workdir=") for word in words if word.startswith("--workdir=")]
        is_trainer = any(word.endswith("train.py") for word in words)
        if is_trainer and any(pathlib.Path(run).is_relative_to(directory) for run in runs):
            found.append(int(process.name))
    return sorted(found)
