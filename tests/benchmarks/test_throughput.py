"""Input or step: what is measured runs, and what is said follows from the numbers."""

import pytest

from benchmarks import throughput
from benchmarks.throughput import Throughput, measure_throughput


@pytest.mark.parametrize(
    ("rates", "limit", "sentence"),
    [
        ((300.0, 100.0, 98.0), "step", "The step limits: the input could give 3 times as many"),
        ((100.0, 250.0, 99.0), "input", "The input limits: the step could take 2.5 times as many"),
        ((100.0, 105.0, 99.0), "both", "Input and step are about as fast as each other."),
    ],
)
def test_the_slower_one_limits(rates, limit, sentence):
    result = Throughput(*rates)
    assert result.limit == limit
    assert sentence in str(result)
    assert "Together they reach" not in str(result)


def test_what_shares_processors_is_slower_together():
    text = str(Throughput(input=100.0, step=50.0, together=25.0))
    assert "Together they reach 50% of the slower one" in text


@pytest.mark.usefixtures("tiny_network", "one_device", "cached_compilation")
def test_all_three_are_measured_without_data(config, monkeypatch):
    config.data.update(fake=True, fake_classes=3, fake_examples=40)
    calls = []
    measure = throughput._images_per_second

    def watched(batch_size, seconds, advance, finish, warmup):
        count = []
        rate = measure(batch_size, seconds, lambda: count.append(1) or advance(), finish, warmup)
        calls.append((batch_size, len(count) - warmup))
        return rate

    monkeypatch.setattr(throughput, "_images_per_second", watched)
    result = measure_throughput(config, seconds=0.0)
    # At least three batches, however long one takes.
    assert calls == [(16, 3)] * 3
    assert min(result.input, result.step, result.together) > 0


def test_the_rate_is_images_over_time(monkeypatch):
    clock = iter([10.0, 10.5, 11.0, 11.5, 12.0, 12.5, 13.0])
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: next(clock))
    calls, finished = [], []
    rate = throughput._images_per_second(8, 2.0, lambda: calls.append(1) or 7, finished.append, 5)
    # Begun at 10.0, asked from the third batch on, at 10.5, 11.0, 11.5 and 12.0, ended at 12.5.
    assert rate == 8 * (len(calls) - 5) / 2.5
    assert len(calls) == 5 + 6
    assert finished == [7, 7]
