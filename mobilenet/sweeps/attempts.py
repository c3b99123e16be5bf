"""attempts.jsonl of a sweep: a line whenever an attempt of a run starts or ends.

Tasks on several machines append to it, on a file system that they share.
"""

import dataclasses
import datetime
import fcntl
import json
import pathlib

from mobilenet.errors import os_errors_explained

FILE = "attempts.jsonl"
NODE_LOST = "node or worker lost"
LAUNCHER_LOST = "launcher lost"


@dataclasses.dataclass(frozen=True)
class Attempt:
    """What one line says. Attempts of a run are counted over all launches of its sweep."""

    run: str
    attempt: int  # 1 is the first
    state: str  # running, complete, failed, stopped, preempted or lost
    cause: str  # of a failure or a loss
    node: str  # host name and the first digits of Ray's name for the node
    time: str  # UTC


def record(
    workdir: pathlib.Path, run: str, attempt: int, node: str, state: str, cause: str = ""
) -> None:
    """Appends a line.

    Raises:
      UserError: the file cannot be written.
    """
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    line = json.dumps(dataclasses.asdict(Attempt(run, attempt, state, cause, node, now))) + "\n"
    with os_errors_explained(f"write {workdir / FILE}"), (workdir / FILE).open("ab") as file:
        # Between machines, appending alone does not keep two lines apart. Closing the file unlocks.
        fcntl.lockf(file, fcntl.LOCK_EX)
        file.write(line.encode())


def latest(workdir: pathlib.Path) -> dict[str, Attempt]:
    """Returns the last line of every run that has one."""
    if not (workdir / FILE).exists():
        return {}
    text = (workdir / FILE).read_text(encoding="utf-8")
    # What follows the last end of line is being written.
    attempts = (Attempt(**json.loads(line)) for line in text.split("\n")[:-1])
    return {attempt.run: attempt for attempt in attempts}


def start(workdir: pathlib.Path, run: str, node: str) -> int:
    """Records that an attempt starts, and that the one before was lost if it has no end.

    Returns:
      The number of the attempt.
    """
    before = latest(workdir).get(run)
    if before is not None:
        close(workdir, before, NODE_LOST)
    number = 1 if before is None else before.attempt + 1
    record(workdir, run, number, node, "running")
    return number


def close(workdir: pathlib.Path, attempt: Attempt, cause: str) -> None:
    """Records that an attempt was lost if it has no end."""
    if attempt.state == "running":
        record(workdir, attempt.run, attempt.attempt, attempt.node, "lost", cause)
