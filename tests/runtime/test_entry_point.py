"""What a user sees who makes a mistake on the command line."""

import json
import pathlib
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("--config=configs/quickstart.py", "--config.modle.width=2"),
            "error: the config has no such key: 'modle' Did you mean \"model\" instead of",
        ),
        (
            ("--config=configs/quickstart.py", "--config.model.widht=2"),
            "error: the config has no such key: 'widht' Did you mean \"width\" instead of",
        ),
        (
            ("--config=configs/absent.py", "--config.seed=1"),
            "error: Configuration is not available",
        ),
        (("--config=configs/absent.py",), "error: Configuration is not available"),
        (("--config=configs/quickstart.py", "width=2"), "error: 'width=2' is no flag"),
        (
            ("--config=configs/quickstart.py:fast", "--config.seed=1"),
            "error: The config has no variant 'fast': leave out the colon",
        ),
        (
            ("--config=configs/quickstart.py", "--config.model.width=-1"),
            "error: config.model: width=-1.0: must be above 0.",
        ),
    ],
)
def test_a_mistake_is_one_sentence(run_script, tmp_path, arguments, sentence):
    result = run_script("train.py", f"--workdir={tmp_path / 'run'}", *arguments)
    assert result.returncode == 1
    assert result.stderr.startswith(sentence)
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_costs_are_one_json_object(run_script):
    result = run_script(
        "scripts/count_cost.py",
        "--model=mobilenet_v2",
        "--width=0.35",
        "--resolution=96",
        "--format=json",
    )
    assert result.returncode == 0, result.stderr
    cost = json.loads(result.stdout)
    # As in tests/golden/counts.csv.
    assert (cost["params"], cost["params_with_statistics"]) == (1_677_128, 1_691_208)
    assert cost["madds"] == 11_934_128
    # The first strided block: 48x48x48 into 24x24x48, at two bytes.
    assert cost["peak_activation_bytes"] == 2 * 48 * (48**2 + 24**2)


def test_a_layer_table_has_a_row_for_every_layer(run_script):
    result = run_script("scripts/count_cost.py", "--model=mobilenet_v1_025", "--layers")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split() == [
        "layer", "operator", "input", "output", "kernel", "params", "madds"
    ]  # fmt: skip
    assert lines[-1].split()[0] == "peak_activation_bytes"
    # A header, 27 convolutions, pooling, the classifier, a gap, a title and four sums.
    assert len(lines) == 1 + 27 + 2 + 1 + 1 + 4


def test_a_bad_knob_is_named_with_what_it_may_be(run_script):
    result = run_script("scripts/count_cost.py", "--bottleneck=tanh")
    assert result.returncode == 1
    assert result.stderr == "error: bottleneck='tanh': must be one of linear, relu6.\n"


def test_a_new_process_says_the_same(tmp_path):
    """Those above have done the imports before."""
    words = (f"--workdir={tmp_path / 'run'}", "--config=configs/quickstart.py", "width=2")
    command = (sys.executable, "train.py", *words)
    result = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "error: 'width=2' is no flag: flags start with --.\n"
