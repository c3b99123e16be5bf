"""A run directory from a stranger is read without running anything that is in it."""

import json
import os
import pathlib
import pickle

import numpy as np
import pytest

from mobilenet.training.loop import train
from tests.helpers import small_config, stripes

_ROOT = pathlib.Path(__file__).parents[2]
_HELPERS = _ROOT / "tests" / "helpers"
_EVAL = _ROOT / "eval.py"


class _Call:
    def __init__(self, command):
        self._command = command

    def __reduce__(self):
        return os.system, (self._command,)


@pytest.fixture
def evaluate(start_program):
    """Runs eval.py on a run directory, watched; gives its status, output and errors."""

    def evaluate(directory):
        # In front of all else, as an audit hook must be; huge pages would start Python anew.
        process = start_program(
            _HELPERS / "watching.py",
            str(_HELPERS / "tiny_program.py"),
            str(_EVAL),
            f"--workdir={directory}",
            prefix=("env", "GLIBC_TUNABLES=glibc.malloc.hugetlb=1"),
        )
        output, errors = process.communicate(timeout=300)
        return process.returncode, output, errors

    return evaluate


def test_the_watch_sees_a_pickle_and_a_program(start_program, tmp_path):
    for name, text in (
        ("pickle", "import pickle; pickle.loads(b'cos\\nsystem\\n.')"),
        ("program", "import os; os.system('true')"),
    ):
        script = tmp_path / f"{name}.py"
        script.write_text(text)
        process = start_program(_HELPERS / "watching.py", str(script))
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 7
        assert errors.startswith("forbidden: ")


@pytest.mark.usefixtures("tiny_network", "one_device", "cached_compilation")
@pytest.mark.slow
def test_evaluating_a_run_runs_nothing_of_it(data_dir, evaluate, tmp_path):
    config = small_config.get_config()
    config.data.data_dir = str(data_dir)
    config.total_steps = 2
    run = tmp_path / "run"
    train(config, run)
    touched = tmp_path / "touched"
    evil = pickle.dumps(_Call(f"touch {touched}"))
    # Wherever a reader that takes pickles might look.
    for folder in (run, run / "checkpoints" / "2"):
        for name in ("config.pkl", "metadata.pickle", "checkpoint", "aggregate", "state.pt"):
            (folder / name).write_bytes(evil)
        np.save(folder / "arrays.npy", np.array([_Call(f"touch {touched}")]), allow_pickle=True)
    status, output, errors = evaluate(run)
    assert status == 0, errors
    assert f"{stripes.TEST} images of test, step 2" in output
    assert not touched.exists()

    # A value is never more than a value.
    plain = json.loads((run / "config.json").read_text())
    plain["model"]["name"] = "__import__('os').system('touch /')"
    (run / "config.json").write_text(json.dumps(plain))
    status, _, errors = evaluate(run)
    assert (status, errors.splitlines()[-1][:7]) == (1, "error: "), errors
    assert not touched.exists()
