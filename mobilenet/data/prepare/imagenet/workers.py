"""A pool of processes that ends with its owner, even if that is killed."""

import concurrent.futures
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from mobilenet.errors import UserError

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


class Workers:
    """Runs functions of one argument on tasks, in processes, or in this one if `count` is 1."""

    def __init__(self, count: int):
        self._executor = None
        if count > 1:
            self._executor = concurrent.futures.ProcessPoolExecutor(
                count,
                # A fork would copy the threads' locks of whatever this process has imported.
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_end_with_parent,
            )

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)

    def run(
        self, function: Callable[[_Task], _Result], tasks: Iterable[_Task]
    ) -> Iterator[tuple[_Task, _Result]]:
        """Yields tasks with their results, in the order in which they are ready.

        Args:
          function: at the top level of a module, so that it can be sent to a process.
          tasks: the arguments.

        Raises:
          UserError: a worker process died.
          Exception: the first that `function` raises; tasks that have not begun are dropped.
        """
        if self._executor is None:
            for task in tasks:
                yield task, function(task)
            return
        futures = {self._executor.submit(function, task): task for task in tasks}
        try:
            for future in concurrent.futures.as_completed(futures):
                result = future.result()
                yield futures.pop(future), result
        except concurrent.futures.process.BrokenProcessPool as error:
            raise UserError(
                "A worker process was killed, perhaps for lack of memory: start the same command "
                "again, with a smaller --num_workers; what is finished is kept."
            ) from error
        finally:
            for future in futures:
                future.cancel()


def _end_with_parent() -> None:
    # Ctrl-C reaches every process of the terminal; the parent then waits for us in good order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
