"""metrics.jsonl: one JSON object a line, with `step`, `split` and one number for every metric.

JSON has no numbers that are not finite, so those are the strings "NaN", "Infinity" and "-Infinity",
which Python's `float` reads.
"""

import contextlib
import json
import math
import numbers
import pathlib
from collections.abc import Mapping
from typing import Any

from mobilenet.errors import UserError, os_errors_explained
from mobilenet.runtime.whole_file import whole_file

_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class MetricsFile:
    """Appends records to `<directory>/metrics.jsonl`, every one flushed before `write` returns."""

    def __init__(self, directory: pathlib.Path, *, start_step: int):
        """Opens the file and drops what a killed run wrote after its last checkpoint.

        Lines beyond `start_step`, and a last line that was not finished, are dropped by writing a
        new file and renaming it, so a kill on the way loses nothing. A run that starts at step 0
        has an empty file.

        Raises:
          UserError: the file cannot be written, or holds a line that is no record.
        """
        self._path = directory / "metrics.jsonl"
        self._action = f"write {self._path}"
        written = read_metrics(directory)
        kept = [record for record in written if start_step and record["step"] <= start_step]
        with whole_file(self._path) as part:
            part.write_text("".join(map(_encode, kept)), encoding="utf-8")
        with os_errors_explained(self._action):
            self._file = self._path.open("a", encoding="utf-8")

    def write(self, step: int, split: str, metrics: Mapping[str, Any]) -> None:
        """Appends one record; metrics are real scalars of any kind.

        Raises:
          UserError: the file cannot be written.
          ValueError: a metric is named `step` or `split`.
        """
        if taken := {"step", "split"} & metrics.keys():
            raise ValueError(f"No metric may be named {sorted(taken)[0]!r}: every record has it.")
        with os_errors_explained(self._action):
            self._file.write(_encode({"step": step, "split": split, **metrics}))
            self._file.flush()

    def close(self) -> None:
        """Closes the file. What a full disk left unwritten was reported by `write`."""
        with contextlib.suppress(OSError):
            self._file.close()


def read_metrics(directory: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the records of a run directory, oldest first; none if there is no file yet.

    A last line that was not finished is left out: a kill left it, or the run is writing it now.

    Raises:
      UserError: the file cannot be read, or another line than the last is no record.
    """
    path = directory / "metrics.jsonl"
    with os_errors_explained(f"read {path}"):
        try:
            lines = path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
    records = []
    for number, line in enumerate(lines, start=1):
        record = _decode(line)
        if record is not None:
            records.append(record)
        elif number < len(lines):
            raise UserError(
                f"Line {number} of {path} is no record of metrics: delete the line and start again."
            )
    return records


def read_scores(directory: pathlib.Path, name: str) -> dict[int, float]:
    """Returns a score of every evaluation of a run, by its step.

    Args:
      directory: of the run.
      name: of the score, such as `Task.best`.

    Raises:
      UserError: as `read_metrics`.
    """
    return {r["step"]: r[name] for r in read_metrics(directory) if r["split"] == "eval"}


def _decode(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    if not isinstance(record, dict) or not isinstance(record.get("step"), int):
        return None
    return {
        key: _NON_FINITE.get(value, value) if isinstance(value, str) else value
        for key, value in record.items()
    }


def _encode(record: Mapping[str, Any]) -> str:
    return json.dumps({key: to_plain(value) for key, value in record.items()}) + "\n"


def to_plain(value: Any) -> float | int | str:
    """Returns a real scalar of any kind as JSON can hold it; a string stays one."""
    if isinstance(value, str):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    number = float(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
