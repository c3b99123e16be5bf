"""A run that is killed at random moments ends with the bits of one that is not."""

import pathlib
import re

import numpy as np
import pytest

from tests.reliability.soak import Kill, Soak, _compare

HERE = pathlib.Path(__file__).parent


@pytest.fixture
def start_soak(start_warm_program, data_dir):
    """Starts scripts/soak.py on a tiny run."""

    def start(workdir: pathlib.Path, *flags: str):
        return start_warm_program(
            HERE / "tiny_soak.py",
            f"--config={HERE.parent / 'helpers' / 'small_config.py'}",
            f"--config.data.data_dir={data_dir}",
            f"--workdir={workdir}",
            *flags,
        )

    return start


def test_kills_at_random_moments_change_no_bit(start_soak, tmp_path):
    process = start_soak(tmp_path / "soak", "--kills=5", "--config.total_steps=6")
    output, errors = process.communicate(timeout=1500)
    assert process.returncode == 0, output + errors
    *kills, summary = output.splitlines()
    assert len(kills) == 5
    assert all(line.endswith(": equal to the bit") for line in kills)
    assert summary.startswith("5 of 5 runs ended with the bits of the undisturbed one")
    moments = [float(re.match(r"killed after +([\d.]+) s", line)[1]) for line in kills]
    assert len(set(moments)) == 5
    # Nothing stays of runs that were equal.
    assert [path.name for path in (tmp_path / "soak").iterdir()] == ["undisturbed"]


def test_a_folder_that_is_used_is_refused(start_soak, tmp_path):
    (tmp_path / "file").write_text("")
    process = start_soak(tmp_path)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 1
    assert errors.splitlines()[-1] == f"error: {tmp_path} is not empty: choose a new --workdir."


@pytest.mark.parametrize("change", [1, -0.0])
def test_a_bit_is_a_difference(change):
    expected = {"a": np.zeros(3), "b": np.ones(2), "metrics.jsonl": [{"step": 1}]}
    found = {**expected, "a": np.array([0, change, 0.0])}
    assert _compare(expected, found) == ["a differs"]
    assert _compare(expected, {**expected, "metrics.jsonl": []}) == ["metrics.jsonl differs"]
    assert _compare(expected, dict(expected)) == []


def test_a_difference_is_told():
    kill = Kill(1.5, step=3, checkpoint=2, in_save=True, differences=("a differs",))
    assert str(kill) == "killed after   1.50 s, in a save, step   3, checkpoint   2: a differs"
    assert not Soak(2.0, (kill,)).is_sound
    assert str(Soak(2.0, (kill,))).startswith("0 of 1 runs ended with the bits")
