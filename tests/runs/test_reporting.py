"""Reports reach metrics.jsonl, TensorBoard and the terminal, and survive a resume."""

import io
import sys

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from mobilenet.errors import UserError
from mobilenet.runs.metrics_file import read_metrics
from mobilenet.runs.reporting import Reporter


class _Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def _reporter(directory, **keys):
    lengths = {"start_step": 0, "total_steps": 1000, "batch_size": 32}
    return Reporter(directory, **{**lengths, "tensorboard": False, **keys})


def test_records_training_and_evaluation(tmp_path):
    with _reporter(tmp_path, tensorboard=True) as reporter:
        reporter.train(7, {"loss": 2.5})
        reporter.evaluation(7, {"accuracy": 0.25})
    assert read_metrics(tmp_path) == [
        {"step": 7, "split": "train", "loss": 2.5, "total_steps": 1000},
        {"step": 7, "split": "eval", "accuracy": 0.25},
    ]
    scalars = {
        (value.tag, event.step): value.simple_value
        for event in _events(tmp_path)
        for value in event.summary.value
    }
    assert scalars == {("train/loss", 7): 2.5, ("eval/accuracy", 7): 0.25}


def test_speed_leaves_out_compilation_and_pauses(tmp_path):
    clock = _Clock()
    with _reporter(tmp_path, clock=clock) as reporter:
        clock.now = 60.0  # compilation
        reporter.train(1, {"loss": 1.0})
        clock.now = 65.0
        with reporter.pause():
            clock.now = 165.0  # an evaluation
        clock.now = 170.0
        reporter.train(101, {"loss": 1.0})
        clock.now = 180.0
        reporter.train(151, {"loss": 1.0})
    first, second, third = read_metrics(tmp_path)
    assert "images_per_second" not in first
    assert second["images_per_second"] == pytest.approx(100 * 32 / 10)
    assert third["images_per_second"] == pytest.approx(50 * 32 / 10)
    # 150 steps took 120 seconds with the evaluation, and 849 are left.
    assert "seconds_left" not in first
    assert third["seconds_left"] == pytest.approx(849 * 120 / 150)


def test_plain_lines_where_there_is_no_terminal(tmp_path, capsys):
    clock = _Clock()
    with _reporter(tmp_path, clock=clock) as reporter:
        reporter.train(1, {"loss": 6.9, "learning_rate": 0.045})
        clock.now = 10.0
        reporter.train(101, {"loss": 5.25, "learning_rate": 0.045})
        reporter.evaluation(101, {"accuracy": 0.125})
    # 899 steps are left at 10 steps a second.
    assert capsys.readouterr().err.splitlines() == [
        "step 1/1,000  loss 6.9000  lr 0.045",
        "step 101/1,000  loss 5.2500  lr 0.045  320 images/s  1 min 30 s left",
        "eval at step 101: accuracy 0.125",
    ]


def _screen(text):
    """Returns the lines that a terminal shows."""
    lines = []
    for line in text.split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


def test_a_bar_on_a_terminal_makes_room_for_lines(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    stream = _Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with _reporter(tmp_path, start_step=9_999, total_steps=99_999, clock=_Clock()) as reporter:
        reporter.train(10_000, {"loss": 123456.0, "learning_rate": 0.1})
        assert " 10000/99999 [" in _screen(stream.getvalue())[0]
        assert "loss 123456.0000  lr 0.1" in _screen(stream.getvalue())[0]
        reporter.evaluation(10_000, {"accuracy": 0.5})
        reporter.train(10_001, {"loss": 1.0})
    line, bar, rest = _screen(stream.getvalue())
    assert line == "eval at step 10,000: accuracy 0.5"
    assert " 10001/99999 [" in bar
    assert rest == ""


def test_a_terminal_that_went_away_does_not_stop_the_run(tmp_path, monkeypatch):
    class Gone(_Terminal):
        def write(self, _):
            raise OSError("the terminal was closed")

    monkeypatch.setattr(sys, "stderr", Gone())
    with _reporter(tmp_path) as reporter:
        reporter.train(1, {"loss": 1.0})
    assert len(read_metrics(tmp_path)) == 1


def test_processes_but_the_first_are_silent(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("jax.process_index", lambda: 1)
    with _reporter(tmp_path, tensorboard=True) as reporter:
        reporter.train(1, {"loss": 1.0})
        reporter.evaluation(1, {"accuracy": 1.0})
        with reporter.pause():
            pass
    assert capsys.readouterr().err == ""
    assert list(tmp_path.iterdir()) == []


def _events(directory):
    events = []
    for path in sorted((directory / "tensorboard").iterdir()):
        data = path.read_bytes()
        while data:
            # TFRecord: length (8 bytes), its checksum (4), the event, its checksum (4).
            length = int.from_bytes(data[:8], "little")
            events.append(Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return events


@pytest.mark.parametrize(("start_step", "first_forgotten"), [(0, 0), (20, 21)])
def test_tensorboard_forgets_steps_beyond_the_checkpoint(tmp_path, start_step, first_forgotten):
    with _reporter(tmp_path, tensorboard=True, start_step=start_step) as reporter:
        reporter.train(start_step + 1, {"loss": 1.0})
    # TensorBoard drops older events whose step is at least that of the start.
    starts = [
        event.step for event in _events(tmp_path) if event.session_log.status == SessionLog.START
    ]
    assert starts == [first_forgotten]


def test_an_unwritable_event_file_is_one_sentence(tmp_path):
    (tmp_path / "tensorboard").write_text("a file")
    with (
        _reporter(tmp_path, tensorboard=True) as reporter,
        pytest.raises(UserError, match=r"Cannot write .*tensorboard: a part of the path"),
    ):
        reporter.train(1, {"loss": 1.0})
