"""How far a run is, read from the files that it writes."""

import dataclasses
import pathlib
from collections.abc import Iterable

from mobilenet.errors import UserError
from mobilenet.runs.metrics_file import read_metrics
from mobilenet.runtime.formatting import describe_name, format_percent
from mobilenet.sweeps.sweep import PlannedRun

STATES = ("waiting", "running", "complete", "failed", "stopped")


@dataclasses.dataclass(frozen=True)
class Status:
    """One run at one moment; what is not known yet is None."""

    name: str
    state: str  # one of STATES
    step: int | None = None
    total_steps: int | None = None
    score: str = ""  # of the last evaluation, with its name
    seconds_left: float | None = None
    message: str = ""  # why it failed


def read_status(run: PlannedRun, state: str, message: str = "") -> Status:
    """Returns the status of a run, with what its metrics.jsonl tells so far."""
    try:
        records = read_metrics(run.directory)
    except UserError as error:
        # The run itself stops at such a file, too.
        return Status(run.name, state, message=message or str(error))
    training = [record for record in records if record["split"] == "train"]
    scores = [record[run.score] for record in records if record["split"] == "eval"]
    last = training[-1] if training else {}
    return Status(
        name=run.name,
        state=state,
        step=last.get("step"),
        total_steps=last.get("total_steps"),
        score=f"{describe_name(run.score)} {format_percent(scores[-1])}" if scores else "",
        seconds_left=last.get("seconds_left") if state == "running" else None,
        message=message,
    )


def first_statuses(runs: Iterable[PlannedRun]) -> dict[str, Status]:
    """Returns by name how far runs are while none of them goes on."""
    return {
        run.name: read_status(run, "complete" if run.is_complete() else "waiting") for run in runs
    }


def last_error_line(log: pathlib.Path, offset: int = 0) -> str:
    """Returns the last line of a log that says what went wrong, or else its last line.

    Bytes before `offset` are of an earlier start.
    """
    with log.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(offset, file.tell() - 65_536))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    lines = [line for line in lines if line]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or ["it ended without a word"])[-1]
