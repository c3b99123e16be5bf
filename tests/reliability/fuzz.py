"""Reads damaged files by the thousand, in a process of little memory that may die of them.

An input is a function of the seed and its number. Whatever comes of one but success or a UserError
is a finding: another exception, the end of the process, memory beyond the limit, or no end at all.
"""

import collections
import dataclasses
import itertools
import multiprocessing
import os
import pathlib
import random
import resource
import signal
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection

from mobilenet.errors import UserError
from mobilenet.runtime.formatting import format_table
from tests.reliability.mutations import mutate
from tests.reliability.readers import Reader, all_readers, temporary_folder

# Beyond what the imports take. An image of MOST_PIXELS takes half of it, and its copy the other.
_MEMORY_BYTES = 2 * 2**30
# A reader takes milliseconds; the machine may be busy.
_HANG_SECONDS = 60.0
# The imports and the whole files take seconds.
_START_SECONDS = 600.0

MakeReaders = Callable[[pathlib.Path], dict[str, Reader]]
Outcome = tuple[bool, str | None]


@dataclasses.dataclass(frozen=True)
class Finding:
    """What went wrong with the input of a number, and by which reader."""

    number: int
    reader: str
    what: str


@dataclasses.dataclass
class Report:
    """Inputs tried by reader, how many of them were read, and the findings."""

    tried: dict[str, int] = dataclasses.field(default_factory=dict)
    read: dict[str, int] = dataclasses.field(default_factory=dict)
    findings: list[Finding] = dataclasses.field(default_factory=list)

    def add(self, reader: str, tried: int, read: int) -> None:
        self.tried[reader] = self.tried.get(reader, 0) + tried
        self.read[reader] = self.read.get(reader, 0) + read

    def __str__(self) -> str:
        found = collections.Counter(finding.reader for finding in self.findings)
        counts = {name: (n, self.read[name], found[name]) for name, n in self.tried.items()}
        counts["all"] = (sum(self.tried.values()), sum(self.read.values()), found.total())
        rows = [(name, *(f"{count:,}" for count in row)) for name, row in counts.items()]
        return format_table([("reader", "inputs", "read", "findings"), *rows], "lr")


def make_input(readers: Mapping[str, Reader], seed: int, number: int) -> tuple[str, bytes]:
    """Returns the name of a reader, each in its turn, and what it shall read."""
    rng = random.Random(f"{seed} {number}")
    name = list(readers)[number % len(readers)]
    return name, mutate(rng.choice(readers[name].samples), rng)


def try_input(reader: Reader, data: bytes) -> Outcome:
    """Returns whether the input was read, and what went wrong, if it was not a UserError."""
    try:
        reader.read(data)
    except UserError:
        return False, None
    except Exception as error:
        return False, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return True, None


def fuzz(
    seed: int,
    *,
    seconds: float,
    save_to: pathlib.Path,
    make_readers: MakeReaders = all_readers,
) -> Report:
    """Tries one input after the other for some time.

    Args:
      seed: of the inputs.
      seconds: of trying, without the start of the process that tries.
      save_to: the folder where inputs with findings are saved, which is made for the first of them.
      make_readers: gives the readers, which may use the folder; a function of a module.
    """
    report, number = Report(), 0
    while seconds > 0:
        number, spent = _run_child(report, make_readers, seed, number, seconds)
        seconds -= spent
    with temporary_folder() as folder:
        readers = make_readers(pathlib.Path(folder))
        for finding in report.findings:
            save_to.mkdir(parents=True, exist_ok=True)
            path = save_to / f"{finding.reader.replace(' ', '_')}-{seed}-{finding.number}"
            path.write_bytes(make_input(readers, seed, finding.number)[1])
    return report


def _run_child(
    report: Report, make_readers: MakeReaders, seed: int, first: int, seconds: float
) -> tuple[int, float]:
    """Runs a child until it dies or the time is over.

    Returns:
      The number of the next input, and the seconds that the child tried inputs.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(
        target=_try_inputs, args=(sender, make_readers, seed, first), daemon=True
    )
    child.start()
    sender.close()
    try:
        if not receiver.poll(_START_SECONDS):
            raise RuntimeError("The process that reads the inputs did not start.")
        names, started, number = receiver.recv(), time.monotonic(), first
        outcome: Outcome | None = (True, None)
        while outcome is not None and time.monotonic() - started < seconds:
            outcome = _receive(receiver)
            was_read, what = outcome or (False, _describe_end(child))
            reader = names[number % len(names)]
            report.add(reader, 1, int(was_read))
            if what:
                report.findings.append(Finding(number, reader, what))
            number += 1
        return number, time.monotonic() - started
    finally:
        child.kill()
        child.join()
        receiver.close()


def _receive(receiver: Connection) -> Outcome | None:
    """What the child says of an input; None if it died of it, or does not come to an end."""
    try:
        return receiver.recv() if receiver.poll(_HANG_SECONDS) else None
    except EOFError:
        return None


def _describe_end(child: multiprocessing.process.BaseProcess) -> str:
    child.join(1.0)
    if child.exitcode is None:
        return f"no end after {_HANG_SECONDS:g} s"
    code = child.exitcode
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


def _try_inputs(sender: Connection, make_readers: MakeReaders, seed: int, first: int) -> None:
    """Tries inputs without end, and sends the names of the readers, then what came of each."""
    # Libraries complain there of what they read.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with temporary_folder() as folder:
        readers = make_readers(pathlib.Path(folder))
        _limit_memory()
        sender.send(list(readers))
        for number in itertools.count(first):
            name, data = make_input(readers, seed, number)
            sender.send(try_input(readers[name], data))


def _limit_memory() -> None:
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
