"""The table of a sweep: redrawn in place on a terminal, a line for every change elsewhere."""

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from mobilenet.runtime.formatting import format_duration
from mobilenet.sweeps.status import STATES, Status

_STYLES = {"complete": "green", "failed": "red", "running": "bold", "stopped": "yellow"}


class Display:
    """Shows the statuses of all runs of a sweep. Use it as a context manager."""

    def __init__(self, console: Console | None = None):
        self._console = console or Console()
        self._live = (
            Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        )
        self._states: dict[str, str] = {}

    def __enter__(self) -> "Display":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def update(self, statuses: Sequence[Status]) -> None:
        """Shows the statuses, of all runs every time."""
        if self._live:
            # The heading, the summary and the frame take six lines.
            rows = max(1, self._console.size.height - 6)
            self._live.update(make_table(statuses, rows), refresh=True)
            return
        for status in statuses:
            if self._states.get(status.name, "waiting") != status.state:
                self._console.print(_line(status), markup=False, highlight=False, soft_wrap=True)
            self._states[status.name] = status.state


def make_table(statuses: Sequence[Status], max_rows: int | None = None) -> Table:
    """Returns a table of the runs; if they are too many, waiting and complete ones are left out."""
    table = Table(caption=summarize(statuses), caption_justify="left")
    for heading in ("run", "state", "step", "score", "left"):
        table.add_column(heading, justify="left" if heading in ("run", "state") else "right")
    for status in _most_telling(statuses, max_rows):
        table.add_row(
            escape(f"{status.name}\n{status.message}" if status.message else status.name),
            status.state,
            _steps(status),
            status.score,
            format_duration(status.seconds_left),
            style=_STYLES.get(status.state),
        )
    return table


def summarize(statuses: Sequence[Status]) -> str:
    """Returns how many runs are in which state, such as `3 complete, 1 failed of 12 runs`."""
    counts = Counter(status.state for status in statuses)
    parts = [f"{counts[state]} {state}" for state in STATES if counts[state]]
    return f"{', '.join(parts)} of {len(statuses)} runs"


def _most_telling(statuses: Sequence[Status], max_rows: int | None) -> Iterator[Status]:
    order = {"running": 0, "failed": 1, "stopped": 2, "complete": 3, "waiting": 4}
    ranked = sorted(range(len(statuses)), key=lambda index: order[statuses[index].state])
    shown = set(ranked[:max_rows])
    yield from (status for index, status in enumerate(statuses) if index in shown)


def _steps(status: Status) -> str:
    if status.step is None:
        return ""
    return f"{status.step:,}" + (f"/{status.total_steps:,}" if status.total_steps else "")


def _line(status: Status) -> str:
    if status.state == "complete" and status.score:
        return f"{status.name}: complete, {status.score}"
    return f"{status.name}: {status.state}" + (f": {status.message}" if status.message else "")
