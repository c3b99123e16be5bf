"""The JSON files of a run directory."""

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from mobilenet.errors import UserError, os_errors_explained
from mobilenet.runtime.whole_file import whole_file


def read_json(path: pathlib.Path) -> Any:
    """Returns what a file holds.

    Raises:
      UserError: it is missing, or cannot be read.
    """
    with os_errors_explained(f"read {path}"):
        try:
            text = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UserError(
                f"There is no {path.name} in {path.parent}, so it is not the directory of a run: "
                "check the path."
            ) from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is not valid JSON ({error}): restore it, or choose another run directory."
        ) from error


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes a file whole or not at all.

    Raises:
      ValueError: a number is not finite.
      UserError: the file cannot be written.
    """
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def finite_or_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns values with None for numbers that are not finite, which JSON does not have."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }
