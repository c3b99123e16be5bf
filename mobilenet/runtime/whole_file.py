"""Files that are written whole or not at all, whatever happens on the way."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

from mobilenet.errors import os_errors_explained


@contextlib.contextmanager
def whole_file(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives the block a path beside `path` to write to, which then takes the place of `path`.

    If the block fails, `path` is as it was. A killed process leaves a file that ends in `.tmp`.

    Raises:
      UserError: the block or the renaming raised an OSError.
    """
    # A name of this process's own: another one may be writing the same file.
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with os_errors_explained(f"write {path}"):
        try:
            yield part
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
