"""The base of every error that the user can mend."""

import contextlib
import errno
from collections.abc import Iterator

# What to do about the commonest failures of the file system; others get the system's own words.
_ADVICE = {
    errno.ENOSPC: "the disk is full: free some space and start again",
    errno.EDQUOT: "your disk quota is used up: free some space and start again",
    errno.EACCES: "permission denied: choose a directory that you may write to",
    errno.EPERM: "permission denied: choose a directory that you may write to",
    errno.EROFS: "the file system is read-only: choose another directory",
    errno.EEXIST: "a file is in its place: choose another directory",
    errno.ENOTDIR: "a part of the path is a file: choose another directory",
}


class UserError(Exception):
    """The user's input or machine is at fault: a wrong config value, an unwritable directory.

    The message is one plain sentence that says what is wrong, where, and what to do. Entry points
    print `error: <message>` without a traceback and exit with status 1. A subclass may also derive
    from the built-in error it refines, such as ValueError.
    """


class ConfigError(UserError, ValueError):
    """A key of the config has a value that cannot work; the message names the key and the value."""


@contextlib.contextmanager
def os_errors_explained(action: str) -> Iterator[None]:
    """Turns an OSError inside the block into a UserError of one sentence.

    Args:
      action: what was tried, such as "write /runs/a/metrics.jsonl".

    Raises:
      UserError: any OSError was raised inside.
    """
    try:
        yield
    except UserError:  # of those that refine an OSError
        raise
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, error.strerror or str(error))
        raise UserError(f"Cannot {action}: {advice}.") from error
