"""What a run says while it goes on: metrics.jsonl, TensorBoard, and progress on standard error."""

import contextlib
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import tqdm

from mobilenet.errors import os_errors_explained
from mobilenet.runs.metrics_file import MetricsFile
from mobilenet.runtime.agreement import is_first
from mobilenet.runtime.formatting import format_duration

if TYPE_CHECKING:
    import tensorboardX


class Reporter:
    """Reports the metrics of one run, on the first process only.

    Use it as a context manager. On a resume it goes on where the checkpoint was taken: what a
    killed run reported beyond `start_step` disappears from metrics.jsonl and from TensorBoard.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        *,
        start_step: int,
        total_steps: int,
        batch_size: int,
        tensorboard: bool,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Opens the files of the run; every process but the first stays silent.

        Args:
          directory: the run directory, which exists.
          start_step: number of steps finished before this start; 0 for a new run.
          total_steps: length of the run.
          batch_size: images per step over all processes, for images/s.
          tensorboard: whether to write event files to `<directory>/tensorboard`.
          clock: seconds from any origin.

        Raises:
          UserError: a file cannot be written.
        """
        self._total_steps = total_steps
        self._speed = _Speed(start_step, total_steps, batch_size, clock)
        self._file: MetricsFile | None = None
        self._start_step = start_step
        self._events_directory: pathlib.Path | None = None
        self._events: tensorboardX.SummaryWriter | None = None
        self._progress: _Progress | None = None
        self._open = contextlib.ExitStack()
        if not is_first():
            return
        with contextlib.ExitStack() as stack:
            self._file = MetricsFile(directory, start_step=start_step)
            stack.callback(self._file.close)
            self._events_directory = directory / "tensorboard" if tensorboard else None
            self._progress = _Progress(start_step, total_steps)
            stack.callback(self._progress.close)
            # Reached only if nothing failed: what is open stays open until `close`.
            self._open = stack.pop_all()

    def train(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Reports metrics of training under the split `train`, and the progress of the run.

        Adds `images_per_second` since the report before, without pauses. The first report after a
        start has none, because compilation falls into its interval: report the first step.
        metrics.jsonl also gets `total_steps` and `seconds_left`, by which others see how far the
        run is.

        Args:
          step: number of steps finished.
          metrics: real scalars; progress shows `loss` and `learning_rate`.

        Raises:
          UserError: a file cannot be written.
        """
        speed = self._speed.update(step)
        left = self._speed.seconds_left(step)
        measured = {} if speed is None else {"images_per_second": speed}
        progress: dict[str, float] = {"total_steps": self._total_steps}
        progress |= {} if left is None else {"seconds_left": left}
        self._record(step, "train", {**metrics, **measured}, progress)
        if self._progress is not None:
            self._progress.show(step, metrics, speed, left)

    def evaluation(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Reports metrics of an evaluation of the weights after `step` steps.

        Raises:
          UserError: a file cannot be written.
        """
        self._record(step, "eval", metrics)
        if self._progress is not None:
            values = "  ".join(f"{name} {float(value):.5g}" for name, value in metrics.items())
            self._progress.line(f"eval at step {step:,}: {values}")

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Leaves the time of the block, such as an evaluation, out of images/s."""
        with self._speed.pause():
            yield

    def _record(
        self,
        step: int,
        split: str,
        metrics: Mapping[str, Any],
        progress: Mapping[str, float] | None = None,
    ) -> None:
        if self._file is not None:
            self._file.write(step, split, {**metrics, **(progress or {})})
        if self._events_directory is None:
            return
        if self._events is None:
            with self._speed.pause():
                self._events = _open_events(self._events_directory, self._start_step)
            self._open.callback(_close_events, self._events)
        with os_errors_explained("write TensorBoard's events"):
            for name, value in metrics.items():
                self._events.add_scalar(f"{split}/{name}", float(value), step)

    def close(self) -> None:
        """Flushes and closes everything; the terminal goes on at a new line."""
        self._open.close()

    def __enter__(self) -> "Reporter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open_events(directory: pathlib.Path, start_step: int) -> "tensorboardX.SummaryWriter":
    # It imports PyTorch where that is installed, which takes seconds: the first step does not wait.
    import tensorboardX

    with os_errors_explained(f"write {directory}"):
        # TensorBoard forgets the events at and beyond the purge step, so all of them for a new run.
        return tensorboardX.SummaryWriter(
            str(directory), purge_step=start_step + 1 if start_step else 0
        )


def _close_events(events: "tensorboardX.SummaryWriter") -> None:
    with os_errors_explained("write TensorBoard's events"):
        events.close()


class _Speed:
    """Images per second between reports, and the time that the rest of the run will take."""

    def __init__(
        self, start_step: int, total_steps: int, batch_size: int, clock: Callable[[], float]
    ):
        self._total_steps = total_steps
        self._batch_size = batch_size
        self._clock = clock
        self._first: tuple[int, float] | None = None
        self._last = (start_step, clock())
        self._paused = 0.0

    def update(self, step: int) -> float | None:
        """Returns images/s since the report before; None at the first."""
        now = self._clock()
        steps, seconds = step - self._last[0], now - self._last[1] - self._paused
        is_first = self._first is None
        if self._first is None:
            self._first = (step, now)
        self._last, self._paused = (step, now), 0.0
        return None if is_first or seconds <= 0 else steps * self._batch_size / seconds

    def seconds_left(self, step: int) -> float | None:
        """Returns the time to the end at the mean pace so far, pauses counted; None at first."""
        if self._first is None or step <= self._first[0]:
            return None
        pace = (self._last[1] - self._first[1]) / (step - self._first[0])
        return pace * (self._total_steps - step)

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        start = self._clock()
        try:
            yield
        finally:
            self._paused += self._clock() - start


class _Progress:
    """A bar on a terminal; elsewhere a plain line for every report."""

    def __init__(self, start_step: int, total_steps: int):
        # A terminal that went away is no reason to stop the run: here and below.
        self._bar: tqdm.tqdm | None = None
        with contextlib.suppress(OSError):
            if sys.stderr.isatty():
                self._bar = tqdm.tqdm(
                    total=total_steps,
                    initial=start_step,
                    unit="step",
                    dynamic_ncols=True,
                    mininterval=0,
                )
        self._total_steps = total_steps

    def show(
        self, step: int, metrics: Mapping[str, Any], speed: float | None, left: float | None
    ) -> None:
        parts = []
        if "loss" in metrics:
            parts.append(f"loss {float(metrics['loss']):.4f}")
        if "learning_rate" in metrics:
            parts.append(f"lr {float(metrics['learning_rate']):.4g}")
        if speed is not None:
            parts.append(f"{speed:,.0f} images/s" if speed >= 100 else f"{speed:.3g} images/s")
        if self._bar is None:
            rest = [] if left is None else [f"{format_duration(left)} left"]
            self.line("  ".join([f"step {step:,}/{self._total_steps:,}", *parts, *rest]))
            return
        with contextlib.suppress(OSError):
            self._bar.set_postfix_str("  ".join(parts), refresh=False)
            self._bar.update(step - self._bar.n)

    def line(self, text: str) -> None:
        with contextlib.suppress(OSError):
            if self._bar is None:
                print(text, file=sys.stderr, flush=True)
            else:
                self._bar.write(text, file=sys.stderr)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            if self._bar is not None:
                self._bar.close()
