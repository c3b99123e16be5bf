"""What is said of files of weights that are damaged, or were made to do harm."""

import contextlib
import pathlib
import pickle
import struct
import tarfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator

import safetensors

from mobilenet.errors import UserError, os_errors_explained

# Bytes of all tensors, unpacked. The largest published checkpoint, slim's V1 1.0 with its averages
# and the optimizer's slots, has 4 values for each of 4.2 million parameters, 68 MB; a file of
# kilobytes that claims a thousand times its size is an attack or an accident.
MOST_BYTES = 2**30

# What the libraries, and our own readers, raise for bytes that make no sense.
_DAMAGE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    EOFError,
    ImportError,
    MemoryError,
    OverflowError,
    RuntimeError,  # of h5py for most, and of zipfile for an encrypted file
    SyntaxError,
    tokenize.TokenError,  # of numpy, which reads the header of an array as Python's literals
    pickle.UnpicklingError,
    safetensors.SafetensorError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


class WeightsFileError(UserError, ValueError):
    """The file is damaged, or of a format that we do not read, or would run code."""


def check_bytes(count: int) -> None:
    """Raises ValueError if tensors of so many bytes are no weights of ours."""
    if count > MOST_BYTES:
        raise ValueError(f"{count:,} bytes unpacked, and more than {MOST_BYTES:,} are no weights")


@contextlib.contextmanager
def damage_explained(path: pathlib.Path, kind: str) -> Iterator[None]:
    """Turns what reading a damaged file raises into a WeightsFileError of one sentence.

    Args:
      path: the file.
      kind: what it should be, such as "a file of PyTorch".
    """
    try:
        with os_errors_explained(f"read {path}"):
            try:
                yield
            except OSError as error:
                # h5py and gzip raise it, without a number, for what is wrong in a file.
                if error.errno is None:
                    raise ValueError(str(error)) from error
                raise
    except UserError:
        raise
    except _DAMAGE as error:
        message = str(error).splitlines()[0] if str(error) else "no message"
        raise WeightsFileError(
            f"{path} cannot be read as {kind} ({type(error).__name__}: {message}): it is damaged, "
            "cut short or something else; get it again."
        ) from error
