"""The process of one contender: builds it, warms it up, and measures whenever it is asked to.

`turns.py` starts it, with a connection, the benchmark and the contender's name as arguments, and
sends the workload. The answer is None as soon as the contender is ready. Then every request, the
seconds to measure for, is answered by seconds per step, until the connection closes. A str in the
place of an answer says in one line why the contender cannot go on.

Nothing imported here imports JAX, TensorFlow or PyTorch: the contender does.
"""

import contextlib
import sys
from multiprocessing.connection import Connection

from benchmarks.contenders import CONTENDERS, OURS
from mobilenet.errors import UserError
from mobilenet.runtime.huge_pages import use_huge_pages


def main(descriptor: str, benchmark: str, name: str) -> None:
    if name == OURS and benchmark != "input":
        # As train.py does, before anything else.
        use_huge_pages()
    with Connection(int(descriptor)) as connection, contextlib.suppress(EOFError):
        try:
            serve(benchmark, name, connection)
        except UserError as error:
            connection.send(str(error))


def serve(benchmark: str, name: str, connection: Connection) -> None:
    """Answers until the connection closes.

    Raises:
      EOFError: it is closed.
    """
    workload = connection.recv()
    try:
        turn = CONTENDERS[benchmark][name].build(workload)
    except Exception as error:
        # A peer that does not work here is left out; where we do not, the traceback is wanted.
        if name == OURS or isinstance(error, UserError):
            raise
        line = (str(error).strip() or "no message").splitlines()[0]
        connection.send(f"{type(error).__name__}: {line}")
        return
    connection.send(None)
    while True:
        connection.send(turn(connection.recv()))


if __name__ == "__main__":
    main(*sys.argv[1:])
