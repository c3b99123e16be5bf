"""What every program does first: quiet libraries, cached compilation, errors as sentences."""

import contextlib
from collections.abc import Iterator

from absl import flags, logging

from mobilenet.compilation_cache import enable_compilation_cache
from mobilenet.errors import exit_on_user_error


@contextlib.contextmanager
def run() -> Iterator[None]:
    """Runs the block with libraries that only warn, unless the flag --verbosity says otherwise.

    A UserError inside ends the process with its sentence and status 1.
    """
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
    enable_compilation_cache()
    with exit_on_user_error():
        yield
