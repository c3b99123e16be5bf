import io

from rich.console import Console

from mobilenet.sweeps.display import Display, make_table, summarize
from mobilenet.sweeps.status import Status

_RUNNING = Status("width=0.5", "running", 1200, 5000, "top-1 12.50%", 90.0)
_STATUSES = [
    Status("width=0.25", "complete", 5000, 5000, "top-1 50.00%"),
    _RUNNING,
    Status("width=0.75", "failed", message="error: the disk [/runs] is full"),
    Status("width=1", "waiting"),
]


def _screen(table):
    console = Console(file=io.StringIO(), width=100)
    console.print(table)
    return console.file.getvalue()


def test_the_table_tells_how_far_each_run_is():
    screen = _screen(make_table(_STATUSES))
    (line,) = [line for line in screen.splitlines() if "width=0.5 " in line]
    for text in ("running", "1,200/5,000", "12.50%", "1 min 30 s"):
        assert text in line
    assert "error: the disk [/runs] is full" in screen
    assert "1 running, 1 complete, 1 failed of 4 runs" in screen


def test_a_small_terminal_shows_what_runs_or_failed():
    screen = _screen(make_table(_STATUSES, max_rows=2))
    assert "width=0.5 " in screen
    assert "width=0.75" in screen
    assert "width=0.25" not in screen
    assert "width=1" not in screen


def test_a_summary_counts_states():
    assert summarize(_STATUSES) == "1 waiting, 1 running, 1 complete, 1 failed of 4 runs"


def test_without_a_terminal_every_change_is_one_line():
    console = Console(file=io.StringIO(), width=20)
    with Display(console) as display:
        display.update([Status("a", "waiting"), _RUNNING])
        display.update([Status("a", "running"), _RUNNING])
        display.update([Status("a", "failed", message="error: a [b] c"), _RUNNING])
        display.update(
            [
                Status("a", "failed", message="error"),
                Status(_RUNNING.name, "complete", score="top-1 50.00%"),
            ]
        )
    assert console.file.getvalue().splitlines() == [
        "width=0.5: running",
        "a: running",
        "a: failed: error: a [b] c",
        "width=0.5: complete, top-1 50.00%",
    ]


def test_a_terminal_is_redrawn():
    console = Console(file=io.StringIO(), width=80, height=20, force_terminal=True)
    with Display(console) as display:
        display.update([Status("a", "running", 5, 20)])
        first = console.file.getvalue()
        display.update([Status("a", "complete", 20, 20, score="top-1 50.00%")])
    assert "5/20" in first
    # The cursor goes up over the first table before the second is drawn.
    assert "\x1b[1A" in console.file.getvalue()[len(first) :]
    assert "50.00%" in console.file.getvalue()
