"""Readers that fail in every way, for the tests of fuzzing."""

import os
import pathlib
import signal

from mobilenet.errors import UserError
from tests.reliability.readers import Reader

# The variable that names the file by which a process knows that one before it has died.
MARK = "DEADLY_READER_HAS_DIED"


def make_readers(_: pathlib.Path) -> dict[str, Reader]:
    """Returns one that reads, one that refuses, and three with faults, of which one dies once."""
    died = pathlib.Path(os.environ[MARK])

    def refuse(_: bytes) -> None:
        raise UserError("It is damaged.")

    def stumble(_: bytes) -> None:
        raise KeyError("a fault")

    def die(_: bytes) -> None:
        if not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGSEGV)

    reads = {"reads": len, "refuses": refuse, "stumbles": stumble}
    reads |= {"grows": lambda _: bytearray(2**40), "dies": die}
    return {name: Reader(read, [b"whole"]) for name, read in reads.items()}
