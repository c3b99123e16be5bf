"""Finished runs, read from run directories or from the lines that were made of them.

A line of a `.jsonl` file holds one run: `name`, `config`, `environment`, `result` and `metrics`, as
in the files of its directory. `results/` keeps such lines under version control.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mobilenet.errors import UserError, os_errors_explained
from mobilenet.runs.json_files import read_json
from mobilenet.runs.metrics_file import read_metrics, to_plain
from mobilenet.tasks import classification

# What a line leaves out of the metrics, because the result sums it up or nobody asks any more.
_DROPPED_METRICS = {
    "gradient_norm",
    "images_per_second",
    "num_images",
    "seconds",
    "seconds_left",
    "skipped_images",
    "total_steps",
    "unlabelled_images",
}


@dataclasses.dataclass(frozen=True)
class Run:
    """One complete run; every part is plain JSON data."""

    name: str  # of its directory
    config: dict[str, Any]  # nested, as config.json
    environment: dict[str, Any]  # as environment.json: {"starts": [...]}
    result: dict[str, Any]  # as result.json: best, params, madds, seconds, ...
    metrics: list[dict[str, Any]]  # records of metrics.jsonl, oldest first

    def key(self, name: str) -> Any:
        """Returns the value of a dotted key of the config, such as `model.width`.

        Raises:
          UserError: the config has no such key.
        """
        value: Any = self.config
        for part in name.split("."):
            if not isinstance(value, dict) or part not in value:
                raise UserError(f"The config of the run {self.name} has no key {name}.")
            value = value[part]
        return value

    @property
    def data_name(self) -> str:
        """The name of the dataset, which says so where its images were made up."""
        name = self.key("data.name")
        return f"fake {name}" if self.config["data"].get("fake") else name

    @property
    def score_name(self) -> str:
        """The number of the result that says how good the network is."""
        # Runs did not say so while classification was all there was.
        return self.result.get("best", classification.BEST)

    def curve(self, metric: str, split: str) -> tuple[list[int], list[float]]:
        """Returns steps and values of a metric over the run."""
        records = [r for r in self.metrics if r["split"] == split and metric in r]
        return [r["step"] for r in records], [float(r[metric]) for r in records]


def read_runs(paths: Iterable[str | os.PathLike[str]]) -> list[Run]:
    """Returns all complete runs below some paths, without those that are not finished.

    Args:
      paths: each a run directory, a folder of them (such as that of a sweep), or a `.jsonl` file.

    Raises:
      UserError: a path holds no complete run, or a file cannot be read.
    """
    found = []
    for path in map(pathlib.Path, paths):
        runs = list(_read_lines(path) if path.suffix == ".jsonl" else _read_directories(path))
        if not runs:
            raise UserError(
                f"There is no complete run in {path}: name a run directory with a result.json, a "
                "folder of such directories, or a .jsonl file that scripts/results.py wrote."
            )
        found += runs
    return found


def to_line(run: Run) -> str:
    """Returns a run as one line of JSON, with the losses and scores of its metrics."""
    line = dataclasses.asdict(run)
    line["metrics"] = [_kept(record) for record in run.metrics]
    # Paths belong to one machine.
    line["environment"] = {
        "starts": [
            {name: value for name, value in start.items() if name != "command"}
            for start in run.environment["starts"]
        ]
    }
    line["config"] = run.config | {"data": run.config["data"] | {"data_dir": None}}
    if run.config.get("initial_weights"):  # which older runs do not have
        kind, colon, path = run.config["initial_weights"].partition(":")
        line["config"]["initial_weights"] = kind + colon + pathlib.PurePath(path).name
    return json.dumps(line, allow_nan=False)


def _read_directories(path: pathlib.Path) -> Iterator[Run]:
    if (path / "result.json").is_file():
        yield _read_directory(path)
        return
    with os_errors_explained(f"read {path}"):
        below = sorted(path.iterdir()) if path.is_dir() else []
    for directory in below:
        if (directory / "result.json").is_file():
            yield _read_directory(directory)


def _read_directory(directory: pathlib.Path) -> Run:
    return Run(
        name=directory.resolve().name,
        metrics=read_metrics(directory),
        **{
            part: read_json(directory / f"{part}.json")
            for part in ("config", "environment", "result")
        },
    )


def _read_lines(path: pathlib.Path) -> Iterator[Run]:
    with os_errors_explained(f"read {path}"):
        lines = path.read_text(encoding="utf-8").splitlines()
    names = {field.name for field in dataclasses.fields(Run)}
    for number, line in enumerate(lines, start=1):
        try:
            values = json.loads(line)
        except ValueError:
            values = None
        if not isinstance(values, dict) or values.keys() != names:
            raise UserError(
                f"Line {number} of {path} is no run: write the file again with scripts/results.py."
            )
        yield Run(**values)


def _kept(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: to_plain(float(f"{value:.6g}")) if isinstance(value, float) else value
        for name, value in record.items()
        if name not in _DROPPED_METRICS
    }
