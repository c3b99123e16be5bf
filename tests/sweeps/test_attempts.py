"""What attempts.jsonl says about attempts that ended, and about those that could not say so."""

import json

from mobilenet.sweeps import attempts


def _events(workdir):
    lines = (workdir / attempts.FILE).read_text().splitlines()
    return [tuple(json.loads(line)[key] for key in ("attempt", "state", "cause")) for line in lines]


def test_an_attempt_without_an_end_was_lost(tmp_path):
    assert attempts.start(tmp_path, "a", "host 1") == 1
    assert attempts.start(tmp_path, "b", "host 1") == 1
    assert attempts.start(tmp_path, "a", "host 2") == 2
    attempts.record(tmp_path, "a", 2, "host 2", "preempted")
    assert attempts.start(tmp_path, "a", "host 3") == 3
    lost = [json.loads(line) for line in (tmp_path / attempts.FILE).read_text().splitlines()][2]
    assert (lost.pop("time")[10], lost) == (
        "T",
        {
            "run": "a",
            "attempt": 1,
            "state": "lost",
            "cause": "node or worker lost",
            "node": "host 1",
        },
    )
    states = [(attempt.run, attempt.attempt, attempt.state) for attempt in _latest(tmp_path)]
    assert states == [("a", 3, "running"), ("b", 1, "running")]


def test_only_what_still_runs_is_closed(tmp_path):
    for run in ("a", "b"):
        attempts.start(tmp_path, run, "host")
    attempts.record(tmp_path, "a", 1, "host", "failed", "exit status 1")
    for attempt in _latest(tmp_path):
        attempts.close(tmp_path, attempt, attempts.LAUNCHER_LOST)
    assert _events(tmp_path)[2:] == [(1, "failed", "exit status 1"), (1, "lost", "launcher lost")]


def test_a_line_that_is_being_written_is_not_read(tmp_path):
    assert attempts.latest(tmp_path) == {}
    attempts.start(tmp_path, "a", "host")
    with (tmp_path / attempts.FILE).open("a") as file:
        file.write('{"run": "b", "att')
    assert list(attempts.latest(tmp_path)) == ["a"]


def _latest(workdir):
    return [attempt for _, attempt in sorted(attempts.latest(workdir).items())]
