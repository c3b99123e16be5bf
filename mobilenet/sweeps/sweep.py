"""A sweep: a base config, rows of overrides, and one run directory and command for each row."""

import dataclasses
import importlib.util
import json
import os
import pathlib
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections.config_dict import ConfigDict

from mobilenet.config import check_finite
from mobilenet.errors import ConfigError, UserError, os_errors_explained
from mobilenet.networks.architecture import architecture_of
from mobilenet.runs.json_files import read_json, write_json
from mobilenet.runs.run_directory import flatten, is_free
from mobilenet.sweeps.rows import Row
from mobilenet.tasks.choose import choose_task


@dataclasses.dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep."""

    name: str  # of its directory, from the overrides
    overrides: Row
    directory: pathlib.Path
    flags: tuple[str, ...]  # of train.py
    score: str  # the name of the metric that says how good the network is

    def is_complete(self) -> bool:
        return (self.directory / "result.json").is_file()

    @property
    def log(self) -> pathlib.Path:
        """What the command prints, start after start; in a folder that the launchers make."""
        return self.directory.with_name("logs") / f"{self.name}.log"

    def log_size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0


@dataclasses.dataclass(frozen=True)
class Sweep:
    """All runs of a sweep, each checked against the base config."""

    sweep_file: str
    base_file: str
    base_overrides: dict[str, Any]  # what the command line set in the base, for every run
    workdir: pathlib.Path
    runs: tuple[PlannedRun, ...]


def plan_sweep(
    sweep_file: str,
    base_file: str,
    base: ConfigDict,
    base_overrides: Mapping[str, Any],
    workdir: str | os.PathLike[str],
) -> Sweep:
    """Reads the rows of a sweep and makes a run of each.

    Args:
      sweep_file: a Python file with `get_rows(base)`, as those of `configs/sweeps/`.
      base_file: the config file that the runs start from.
      base: its config, with `base_overrides` applied.
      base_overrides: dotted keys that the command line set in the base.
      workdir: the folder of all run directories.

    Raises:
      UserError: the file has no rows, or a row sets a key or value that cannot work.
    """
    rows = _read_rows(sweep_file, base)
    directory = pathlib.Path(workdir)
    ambiguous = _ambiguous_leaves(base)
    runs = []
    for row in rows:
        score = _check_row(sweep_file, base, row)
        name = "+".join(f"{_short(key, ambiguous)}={_in_name(value)}" for key, value in row.items())
        flags = [f"--config={base_file}", f"--workdir={directory / name}"]
        for key, value in {**base_overrides, **row}.items():
            flags.append(f"--config.{key}={_on_command_line(value)}")
        runs.append(PlannedRun(name, row, directory / name, tuple(flags), score))
    for name, count in Counter(run.name for run in runs).items():
        if count > 1:
            raise UserError(
                f"{sweep_file} has {count} rows of the name {name}: leave out the copy."
            )
    return Sweep(sweep_file, base_file, dict(base_overrides), directory, tuple(runs))


def record_sweep(sweep: Sweep) -> None:
    """Writes `sweep.json`: where the rows came from, and every row with its run's name.

    A sweep may be started again with more rows or fewer; run directories that have no row any more
    stay as they are.

    Raises:
      UserError: the directory holds a sweep of another base, or cannot be written.
    """
    path = sweep.workdir / "sweep.json"
    here = {
        "sweep": sweep.sweep_file,
        "base": sweep.base_file,
        "base_overrides": sweep.base_overrides,
        "rows": [{"name": run.name, "overrides": run.overrides} for run in sweep.runs],
    }
    with os_errors_explained(f"write {path}"):
        sweep.workdir.mkdir(parents=True, exist_ok=True)
    if path.exists():
        _check_same_base(sweep.workdir, read_json(path), json.loads(json.dumps(here)))
    write_json(path, here)


def command_line(program: Sequence[str], run: PlannedRun) -> str:
    """Returns the command of one run, quoted for a shell."""
    return shlex.join([*program, *run.flags])


def _read_rows(sweep_file: str, base: ConfigDict) -> list[Row]:
    path = pathlib.Path(sweep_file)
    if not path.is_file() or path.suffix != ".py":
        raise UserError(f"There is no sweep file {sweep_file}: name one of configs/sweeps/*.py.")
    spec = importlib.util.spec_from_file_location(f"sweep_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "get_rows"):
        raise UserError(f"{sweep_file} has no function get_rows(base): is it a sweep file?")
    rows = list(module.get_rows(base))
    if not rows:
        raise UserError(f"{sweep_file} has no rows for this base.")
    return rows


def _check_row(sweep_file: str, base: ConfigDict, row: Row) -> str:
    """Checks that the config of a row can work, and returns the name of its task's score."""
    config = base.copy_and_resolve_references()
    known = flatten(config)
    for key, value in row.items():
        start = f"{sweep_file}: a row sets {key}={value!r}, but"
        if key not in known:
            raise UserError(f"{start} the config has no such key.")
        try:
            config.update_from_flattened_dict({key: value})
        except TypeError as error:
            raise UserError(f"{start} {value!r} has the wrong type.") from error
    try:
        check_finite(config)
        architecture_of(config.model, 1000)
        return choose_task(config).best
    except UserError as error:
        raise ConfigError(f"{sweep_file}: the row {row} cannot work: {error}") from error


def _check_same_base(workdir: pathlib.Path, there: dict[str, Any], here: dict[str, Any]) -> None:
    def compared(record: dict[str, Any]) -> dict[str, Any]:
        fixed = {k: v for k, v in record["base_overrides"].items() if not is_free(k)}
        return {"--base": record["base"], **{f"--base.{key}": fixed[key] for key in fixed}}

    old, new = compared(there), compared(here)
    differing = [
        f"{key}: {old.get(key, 'not given')} there, {new.get(key, 'not given')} here"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
    if differing:
        raise UserError(
            f"{workdir} holds a sweep of another base ({'; '.join(differing)}): choose another "
            "--workdir, or start it as before."
        )


def _ambiguous_leaves(base: ConfigDict) -> set[str]:
    """Returns last parts of keys that more than one key of the base has."""
    leaves = Counter(key.rpartition(".")[2] for key in flatten(base))
    return {leaf for leaf, count in leaves.items() if count > 1}


def _short(key: str, ambiguous: set[str]) -> str:
    section, _, leaf = key.rpartition(".")
    if leaf == "name":
        return section
    return key if leaf in ambiguous else leaf


def _in_name(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return re.sub(r"[^\w.-]+", "_", text)


def _on_command_line(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
