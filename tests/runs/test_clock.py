"""A clock that is set back in mid-run changes neither the run nor its times."""

import time

import pytest

from mobilenet.runs.metrics_file import read_metrics
from mobilenet.training.loop import train


@pytest.fixture
def clock_goes_back(monkeypatch):
    """Every look at the time of day gives an hour less than the one before."""
    hours = iter(range(1, 10**9))

    def earlier(unit):
        return lambda now=time.time: int((now() - 3600 * next(hours)) * unit)

    monkeypatch.setattr(time, "time", lambda now=time.time: now() - 3600 * next(hours))
    monkeypatch.setattr(time, "time_ns", earlier(10**9))


@pytest.mark.usefixtures("tiny_network", "one_device", "cached_compilation", "clock_goes_back")
@pytest.mark.slow
def test_a_clock_that_goes_back_changes_nothing(config, tmp_path):
    first = time.time()
    assert time.time() < first - 3000
    assert time.time_ns() < 10**9 * (first - 3000)
    config.total_steps = 6
    config.checkpoint.keep = 2
    config.log.tensorboard = True
    started = time.perf_counter()
    result = train(config, tmp_path)
    lasted = time.perf_counter() - started
    records = [record for record in read_metrics(tmp_path) if record["split"] == "train"]
    assert [record["step"] for record in records] == [1, 2, 3, 4, 5, 6]
    assert all(0 < record["seconds"] < lasted for record in records)
    assert 0 < result["seconds"] < lasted
    assert all(0 <= record["seconds_left"] < lasted for record in records[2:])
    assert all(record["images_per_second"] > 0 for record in records[1:])
    # The last ones by their steps, not by their dates; 4 was evaluated as well.
    assert sorted(int(path.name) for path in (tmp_path / "checkpoints").iterdir()) == [4, 6]
