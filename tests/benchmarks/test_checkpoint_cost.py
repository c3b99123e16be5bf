"""What checkpoints cost, by a clock that is set by hand where numbers matter."""

import pytest

from benchmarks.checkpoint_cost import CheckpointCost, measure_checkpoints


def test_shares_and_losses_follow_from_the_measurements():
    cost = CheckpointCost(
        step=0.5, save=0.1, extra=2.0, on_disk=3.0, every_steps=100, size=25_000_000
    )
    lines = str(cost).splitlines()
    assert lines[0].split() == ["state", "25.0", "MB"]
    # 0.1 and 2 seconds of the 52 for 100 steps and a save; all steps, and 3 until the save counts.
    assert lines[-2:] == [
        "A checkpoint every 100 steps, 50.0 s: 0.19% of the time holding up, 3.85% in all.",
        "A kill at the worst moment loses 53.0 s.",
    ]


@pytest.mark.usefixtures("tiny_network", "one_device")
def test_a_run_is_measured(config, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cost = measure_checkpoints(config, rounds=1)
    assert cost.every_steps == 2
    assert 0 < cost.save <= cost.on_disk
    assert cost.step > 0
    # The weights, their average and the momentum, of float32, and statistics twice.
    assert cost.size == pytest.approx(4 * (3 * _PARAMS + 2 * _STATISTICS), abs=16)
    assert not list(tmp_path.iterdir())


# Stem 8 channels; depthwise 3 x 3, pointwise to 16; 3 classes. Scales and shifts of three norms.
_NORMED = 8 + 8 + 16
_PARAMS = 27 * 8 + 9 * 8 + 8 * 16 + 2 * _NORMED + 16 * 3 + 3
_STATISTICS = 2 * _NORMED
