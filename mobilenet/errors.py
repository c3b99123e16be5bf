"""The base of every error that the user can mend."""

import contextlib
import sys
from collections.abc import Iterator


class UserError(Exception):
    """The user's input or machine is at fault: a wrong config value, an unwritable directory.

    The message is one plain sentence that says what is wrong, where, and what to do. Entry points
    print `error: <message>` without a traceback and exit with status 1. A subclass may also derive
    from the built-in error it refines, such as ValueError.
    """


class ConfigError(UserError, ValueError):
    """A key of the config has a value that cannot work; the message names the key and the value."""


@contextlib.contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Turns a UserError into its sentence on stderr and exit status 1."""
    try:
        yield
    except UserError as error:
        sys.exit(f"error: {error}")
