"""A run directory describes itself: config.json, data.json, environment.json, at last result.json.

Every file is written to a temporary name and renamed, so that a kill leaves the old one or the new.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import pathlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ml_collections.config_dict import ConfigDict

from mobilenet import config as base
from mobilenet.errors import ConfigError, UserError, os_errors_explained
from mobilenet.runs.json_files import read_json, write_json
from mobilenet.runtime.agreement import from_first, is_first
from mobilenet.runtime.environment import describe_environment

# Keys that a resume may change, with all below them. They say where the data lies, how fast it is
# read, what is reported and how many checkpoints stay: none of them changes a weight.
FREE_KEYS = (
    "checkpoint.keep",
    "data.data_dir",
    "data.num_threads",
    "data.num_workers",
    "data.prefetch_batches",
    "log",
)

# Clients of NFS remember for some seconds that a file was not there, or what it was (acregmax, 60).
_SHARING_SECONDS = 60


@contextlib.contextmanager
def start_run(
    workdir: str | os.PathLike[str],
    config: ConfigDict,
    class_names: Sequence[str],
) -> Iterator[pathlib.Path]:
    """Starts or resumes the run in a directory, and keeps other processes out of it meanwhile.

    Creates the directory if need be, writes the config and data.json, and adds this start, with
    the process's command line, to environment.json.
    A resume must bring the same config, but for `FREE_KEYS`, whose new values replace the old.
    In a run of several processes the first does all this, and the others wait for it.

    Args:
      workdir: the run directory, new or that of the same run.
      config: the complete config of the run.
      class_names: of its data, in the order of their numbers.

    Yields:
      The directory as a path.

    Raises:
      UserError: the directory cannot be written, is in use, or holds a run of another config; or
        not all processes have the same one.
    """
    directory = pathlib.Path(workdir)
    if not is_first():
        _check_shared(directory, from_first(None))
        yield directory
        return
    with os_errors_explained(f"create the run directory {directory}"):
        directory.mkdir(parents=True, exist_ok=True)
    with _locked(directory):
        if (directory / "config.json").exists():
            _check_same(directory, config)
        write_json(directory / "config.json", _to_plain(config))
        write_json(directory / "data.json", {"classes": list(class_names)})
        starts = []
        if (directory / "environment.json").exists():
            starts = read_json(directory / "environment.json")["starts"]
        starts.append(describe_environment(sys.argv))
        write_json(directory / "environment.json", {"starts": starts})
        from_first(_digest(directory / "environment.json"))
        yield directory


def read_config(workdir: str | os.PathLike[str]) -> ConfigDict:
    """Returns the locked config of a run, equal to the one it was started with.

    Raises:
      UserError: the directory holds no run, or its config cannot be read.
    """
    path = pathlib.Path(workdir) / "config.json"
    plain = read_json(path)
    if not isinstance(plain, dict):
        raise UserError(f"{path} is no config: restore it, or choose another --workdir.")
    return ConfigDict(_with_tuples(plain)).lock()


def read_current_config(workdir: str | os.PathLike[str]) -> ConfigDict:
    """Returns the config of a run that has every key of today's configs, as `read_config`.

    Raises:
      UserError: it lacks keys, since an older version of this code wrote it; they are named.
    """
    config = read_config(workdir)
    there = flatten(config)
    missing = [f"config.{key}" for key in flatten(base.get_config()) if key not in there]
    if missing:
        path = pathlib.Path(workdir) / "config.json"
        raise UserError(
            f"{path} is of an older version of this code and lacks {', '.join(missing)}: take the "
            "version whose commit environment.json names, or write the keys into it with what the "
            "older version did."
        )
    return config


def read_class_names(workdir: str | os.PathLike[str]) -> tuple[str, ...]:
    """Returns the names of the classes of a run's data, in the order of their numbers.

    Raises:
      UserError: the file is missing or damaged.
    """
    path = pathlib.Path(workdir) / "data.json"
    plain = read_json(path)
    names = plain.get("classes") if isinstance(plain, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path} has no list `classes` of names: restore it.")
    return tuple(names)


def write_result(workdir: str | os.PathLike[str], result: Mapping[str, Any]) -> None:
    """Writes result.json, the mark of a finished run; values are what JSON can hold.

    In a run of several processes only the first writes.

    Raises:
      ValueError: a number is not finite.
      UserError: the file cannot be written.
    """
    if is_first():
        write_json(pathlib.Path(workdir) / "result.json", dict(result))


@contextlib.contextmanager
def _locked(directory: pathlib.Path) -> Iterator[None]:
    # A POSIX record lock: the system drops it when the process dies, children do not inherit it,
    # and it holds between machines that share a file system.
    with contextlib.ExitStack() as stack:
        with os_errors_explained(f"write to the run directory {directory}"):
            file = stack.enter_context((directory / ".lock").open("a+"))
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EAGAIN):
                    raise
                raise UserError(
                    f"Another process is using the run directory {directory}: wait until it ends, "
                    "or choose another --workdir."
                ) from error
        yield


def _check_shared(directory: pathlib.Path, digest: str) -> None:
    """Checks that this process sees what the first has just written."""
    end = time.monotonic() + _SHARING_SECONDS
    while _digest(directory / "environment.json") != digest:
        if time.monotonic() > end:
            raise UserError(
                f"The run directory {directory} of this process is not that of process 0: choose a "
                "--workdir on a file system that all hosts share."
            )
        time.sleep(0.1)


def _digest(path: pathlib.Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _check_same(directory: pathlib.Path, config: ConfigDict) -> None:
    there, here = flatten(read_config(directory)), flatten(config)
    differing = [
        f"config.{key}: {_shown(there, key)} there, {_shown(here, key)} here"
        for key in sorted(there.keys() | here.keys())
        if not is_free(key) and (key not in there or key not in here or there[key] != here[key])
    ]
    if differing:
        raise UserError(
            f"The run directory {directory} holds a run of another config "
            f"({'; '.join(differing)}): choose another --workdir, or start with the same config."
        )


def is_free(key: str) -> bool:
    """Returns whether a dotted key is one of `FREE_KEYS`, or below one."""
    return any(key == free or key.startswith(f"{free}.") for free in FREE_KEYS)


def flatten(config: ConfigDict | dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns a nested config as a dict of dotted keys."""
    flat = {}
    for key, value in config.items():
        if isinstance(value, (ConfigDict, dict)):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _shown(flat: dict[str, Any], key: str) -> str:
    return repr(flat[key]) if key in flat else "no such key"


def _to_plain(value: Any, key: str = "config") -> Any:
    """Returns dicts and lists for JSON. A list there always means a tuple here."""
    if isinstance(value, ConfigDict):
        return {name: _to_plain(item, f"{key}.{name}") for name, item in value.items()}
    if isinstance(value, tuple):
        return [_to_plain(item, f"{key}[{index}]") for index, item in enumerate(value)]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ConfigError(
        f"{key} is {value!r}, a {type(value).__name__}: a config holds only numbers, strings, "
        "booleans, None and tuples of them."
    )


def _with_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_tuples(item) for name, item in value.items()}
    return tuple(_with_tuples(item) for item in value) if isinstance(value, list) else value
