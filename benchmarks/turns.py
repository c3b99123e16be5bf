"""Measures our package and every peer in turn, each in a process of its own.

A process sleeps while another one is timed, so all have the same threads and the same
disturbances. Ours is measured again before each peer: load on the machine that comes and goes hits
both sides of a ratio.
"""

import contextlib
import dataclasses
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.contenders import OURS
from mobilenet.errors import UserError

# stderr: JSON on stdout must stay JSON, whatever a library prints.
_STDERR = 2
_SECONDS_TO_EXIT = 30


@dataclasses.dataclass(frozen=True)
class Turns:
    """Seconds per step, in the order of the rounds.

    Attributes:
      pairs: of each peer, ours and the peer's right after it, one pair a round.
      alone: ours, where there is no peer to measure beside.
      left_out: peers that did not work, and why.
    """

    pairs: dict[str, list[tuple[float, float]]]
    alone: list[float]
    left_out: dict[str, str]


def take_turns(benchmark: str, peers: Sequence[str], workload: Any, rounds: int) -> Turns:
    """Starts ours and the peers, and measures them one after the other, `rounds` times.

    Args:
      benchmark: a key of `CONTENDERS`.
      peers: names of its peers.
      workload: what they compute; `workload.seconds` is how long a measurement takes at least.
      rounds: measurements of every peer.

    Raises:
      UserError: ours does not work here, or a contender failed while it was measured.
    """
    left_out = {}
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(_Process(benchmark, OURS, workload))
        if reason := ours.obstacle():
            raise UserError(f"{OURS}: {reason}")
        running = {}
        for name in peers:
            peer = stack.enter_context(_Process(benchmark, name, workload))
            if reason := peer.obstacle():
                left_out[name] = reason
            else:
                running[name] = peer
        pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in running}
        alone = []
        for number in range(1, rounds + 1):
            for name, peer in running.items():
                pair = ours.measure(), peer.measure()
                pairs[name].append(pair)
                _say(f"round {number}: {OURS} {pair[0]:.4g} s, {name} {pair[1]:.4g} s")
            if not running:
                alone.append(ours.measure())
                _say(f"round {number}: {OURS} {alone[-1]:.4g} s")
    return Turns(pairs, alone, left_out)


class _Process:
    """A contender in its process; a context manager that ends it."""

    def __init__(self, benchmark: str, name: str, workload: Any):
        self._name = name
        self._seconds = workload.seconds
        self._connection, other_end = multiprocessing.Pipe()
        descriptor = other_end.fileno()
        program = f"{__package__}.contender_process"
        self._process = subprocess.Popen(
            [sys.executable, "-m", program, str(descriptor), benchmark, name],
            pass_fds=[descriptor],
            stdin=subprocess.DEVNULL,
            stdout=_STDERR,
            # Ctrl-C is for us; we end the others.
            start_new_session=True,
            # Two JAX processes on one GPU must not both reserve most of its memory.
            env={"XLA_PYTHON_CLIENT_PREALLOCATE": "false", **os.environ},
        )
        other_end.close()
        with contextlib.suppress(OSError):  # it has ended; `obstacle` says so
            self._connection.send(workload)

    def __enter__(self) -> "_Process":
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self._connection.close()
        try:
            if error is not None:
                self._process.kill()
            self._process.wait(_SECONDS_TO_EXIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def obstacle(self) -> str | None:
        """Waits until the contender is warmed up; returns why it cannot be, or None."""
        try:
            return self._connection.recv()
        except (EOFError, OSError):
            return f"its process ended with status {self._process.wait()}; its output is above"

    def measure(self) -> float:
        """Returns seconds per step."""
        try:
            self._connection.send(self._seconds)
            answer = self._connection.recv()
        except (EOFError, OSError) as error:
            status = self._process.wait()
            raise UserError(
                f"The process of {self._name} ended with status {status}; its output is above."
            ) from error
        if isinstance(answer, str):
            raise UserError(f"{self._name}: {answer}")
        return answer


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
