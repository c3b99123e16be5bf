"""What a run ran on: versions, devices, processor, code, command."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
import subprocess
from collections.abc import Sequence
from typing import Any

import jax

_PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "tensorflow-datasets",
    "numpy",
)


def describe_environment(command: Sequence[str]) -> dict[str, Any]:
    """Returns everything about this start of a run that its config does not hold, ready for JSON.

    No host or user name is asked for. What cannot be found out is None.

    Args:
      command: the command line, such as `sys.argv`.
    """
    devices = jax.devices()
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": list(command),
        "versions": {
            "python": platform.python_version(),
            **{package: importlib.metadata.version(package) for package in _PACKAGES},
        },
        "devices": {
            "platform": devices[0].platform,
            "kind": devices[0].device_kind,
            "count": len(devices),
            "processes": jax.process_count(),
        },
        "cpu": {"model": _cpu_model(), "cores": os.cpu_count()},
        "xla_flags": os.environ.get("XLA_FLAGS"),
        "git": describe_checkout(pathlib.Path(__file__).parent),
    }


def describe_checkout(folder: pathlib.Path) -> dict[str, Any] | None:
    """Returns the git commit of the checkout that tracks a folder, and whether it was changed.

    None if git does not track the folder, as for an installed package, or is not installed.
    """
    # Without it an installed package inside a checkout's .venv would pass for that checkout.
    if _git(folder, "ls-files", "--error-unmatch", ".") is None:
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    status = _git(folder, "status", "--porcelain")
    if commit is None or status is None:
        return None
    return {"commit": commit, "dirty": bool(status)}


def _git(folder: pathlib.Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _cpu_model() -> str | None:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or None
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or None


def usable_cores() -> int:
    """Returns how many cores this process may use, which only some systems tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
