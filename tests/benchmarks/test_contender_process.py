"""The answers of a contender's process, given in this one."""

import multiprocessing
import re
import threading
import types

import pytest

from benchmarks import contender_process
from mobilenet.errors import UserError


def fail(error):
    def build(_workload):
        raise error

    return build


@pytest.fixture
def connection(monkeypatch):
    """The other end of a contender that measures, and of some that do not work."""
    builds = {
        "mobilenet": fail(RuntimeError("ours")),
        "good": lambda workload: lambda seconds: workload + seconds,
        "broken": fail(ValueError("an input of 8 pixels\nis too small")),
        "mute": fail(ValueError()),
        "sentence": fail(UserError("Do this.")),
    }
    contenders = {name: types.SimpleNamespace(build=build) for name, build in builds.items()}
    monkeypatch.setattr(contender_process, "CONTENDERS", {"train_step": contenders})
    ours, theirs = multiprocessing.Pipe()
    with ours:
        ours.send(100.0)  # the workload
        yield ours, theirs
    theirs.close()


def test_every_request_is_answered_until_the_connection_closes(connection):
    ours, theirs = connection
    ended = []

    def serve():
        with pytest.raises(EOFError):
            contender_process.serve("train_step", "good", theirs)
        ended.append(True)

    thread = threading.Thread(target=serve)
    thread.start()
    assert ours.recv() is None
    for seconds in (1.0, 2.0):
        ours.send(seconds)
        assert ours.recv() == 100.0 + seconds
    ours.close()
    thread.join()
    assert ended == [True]


@pytest.mark.parametrize(
    ("name", "answer"),
    [("broken", "ValueError: an input of 8 pixels"), ("mute", "ValueError: no message")],
)
def test_a_peer_that_cannot_be_built_says_why_in_one_line(connection, name, answer):
    ours, theirs = connection
    contender_process.serve("train_step", name, theirs)
    assert ours.recv() == answer


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [("mobilenet", RuntimeError, "ours"), ("sentence", UserError, "Do this.")],
)
def test_our_own_failure_and_a_mistake_of_the_user_are_raised(connection, name, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        contender_process.serve("train_step", name, connection[1])
