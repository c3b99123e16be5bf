"""A run that was killed and started again ends with the bits of one that never was."""

import json
import signal

import pytest

from mobilenet.runs.metrics_file import read_metrics
from tests.helpers.run_ends import final_state, read_curve
from tests.helpers.states import assert_equal

# Of 72 images in batches of 16: an epoch is 4.5 steps.
_STEPS = 12


def _steps(workdir):
    return sorted(path.name for path in (workdir / "checkpoints").iterdir())


@pytest.mark.usefixtures("tiny_network", "one_device")
@pytest.mark.slow
def test_kills_and_signals_anywhere_change_no_bit(
    start_tiny_training, start_tiny_evaluation, tmp_path
):
    def start(name, *signals):
        length = f"--config.total_steps={_STEPS}"
        process = start_tiny_training(tmp_path / name, length, signals=signals)
        output, errors = process.communicate(timeout=300)
        return process.returncode, output, errors

    code, output, errors = start("unbroken")
    assert code == 0, errors
    assert f"after {_STEPS} steps" in output

    broken = tmp_path / "broken"
    # While the first step is compiled: it is finished and saved.
    code, output, errors = start("broken", "SIGTERM", "step", "1")
    assert (code, output) == (143, ""), errors
    assert errors.splitlines()[-1] == (
        f"Stopped by a signal. Step 1 of {_STEPS} is saved in {broken}: "
        "the same command goes on from there."
    )
    assert _steps(broken) == ["1"]

    # In mid-epoch, when everything of a checkpoint is written but its name.
    code, _, errors = start("broken", "SIGKILL", "save", "6")
    assert code == -signal.SIGKILL, errors
    assert "6" not in _steps(broken)
    assert [name for name in _steps(broken) if name.startswith("6.")]

    # The evaluation after step 8 is given up, and done when the run goes on.
    code, _, errors = start("broken", "SIGINT", "evaluation", "8")
    assert code == 143, errors
    assert f"Step 8 of {_STEPS} is saved" in errors
    assert all(name.isdecimal() for name in _steps(broken))
    assert _evaluated(broken) == [4]
    code, _, errors = start("broken")
    assert code == 0, errors
    assert _evaluated(broken) == [4, 8, _STEPS]

    unbroken_state, broken_state = final_state(tmp_path / "unbroken"), final_state(broken)
    assert int(broken_state.step) == _STEPS
    assert broken_state.ema is not None
    assert_equal(unbroken_state, broken_state)
    assert read_curve(tmp_path / "unbroken") == read_curve(broken)
    assert len(json.loads((broken / "environment.json").read_text())["starts"]) == 4

    flags = ("--checkpoint=8", "--noema", "--split=train", "--batch_size=24")
    evaluation = start_tiny_evaluation(f"--workdir={broken}", *flags)
    output, errors = evaluation.communicate(timeout=300)
    assert evaluation.returncode == 0, errors
    assert "72 images of train, step 8, raw weights" in output


def _evaluated(workdir):
    return [record["step"] for record in read_metrics(workdir) if record["split"] == "eval"]
