"""From rows to runs: names, flags, and the mistakes that a sweep file can hold."""

import json
import pathlib
import shlex

import pytest

from configs import cifar10
from mobilenet import config as base
from mobilenet.errors import UserError
from mobilenet.sweeps.sweep import command_line, plan_sweep, record_sweep

_SWEEPS = pathlib.Path(__file__).parents[2] / "configs" / "sweeps"


def _plan(tmp_path, rows, *, overrides=None, config=None, workdir=None):
    file = tmp_path / "rows.py"
    file.write_text(f"from math import nan\ndef get_rows(base):\n    return {rows!r}\n")
    config = config or base.get_config()
    return plan_sweep(
        str(file), "mobilenet/config.py", config, overrides or {}, workdir or tmp_path / "runs"
    )


def test_names_come_from_the_overrides(tmp_path):
    row = {"model.name": "mobilenet_v2", "model.width": 0.5, "evaluation.every_steps": 3}
    (run,) = _plan(tmp_path, [row]).runs
    # checkpoint has every_steps as well, so that key keeps its section.
    assert run.name == "model=mobilenet_v2+width=0.5+evaluation.every_steps=3"
    assert run.directory == tmp_path / "runs" / run.name


def test_a_command_line_holds_the_overrides_of_the_base_and_of_the_row(tmp_path):
    plan = _plan(
        tmp_path,
        [{"model.width": 0.5, "augment.flip": False, "data.crop_area": (0.5, 1.0)}],
        overrides={"model.width": 1.0, "total_steps": 3},
    )
    words = shlex.split(command_line(("python", "train.py"), plan.runs[0]))
    assert words[:4] == [
        "python",
        "train.py",
        "--config=mobilenet/config.py",
        f"--workdir={plan.runs[0].directory}",
    ]
    assert sorted(words[4:]) == [
        "--config.augment.flip=false",
        "--config.data.crop_area=(0.5, 1.0)",
        "--config.model.width=0.5",
        "--config.total_steps=3",
    ]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"model.widht": 1.0}, r"sets model.widht=1.0, but the config has no such key"),
        ({"model": 1.0}, r"sets model=1.0, but the config has no such key"),
        ({"modle.width": 1.0}, r"sets modle.width=1.0, but the config has no such key"),
        ({"model.width": "wide"}, r"sets model.width='wide', but 'wide' has the wrong type"),
        (
            {"schedule.learning_rate": float("nan")},
            r"cannot work: config.schedule.learning_rate is nan",
        ),
        ({"model.shortcut": "long"}, r"cannot work: config.model: shortcut='long': must be one of"),
    ],
)
def test_a_row_that_cannot_work_is_named(tmp_path, row, sentence):
    with pytest.raises(UserError, match=sentence):
        _plan(tmp_path, [{"model.name": "mobilenet_v2"} | row])


def test_equal_names_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"has 2 rows of the name seed=1"):
        _plan(tmp_path, [{"seed": 1}, {"seed": 1}])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "There is no sweep file"),
        ("rows = []", r"has no function get_rows\(base\)"),
        ("def get_rows(base):\n    return []", "has no rows"),
    ],
)
def test_a_file_without_rows_is_refused(tmp_path, text, sentence):
    file = tmp_path / "rows.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError, match=sentence):
        plan_sweep(str(file), "mobilenet/config.py", base.get_config(), {}, tmp_path / "runs")


def test_a_record_says_where_the_rows_came_from(tmp_path):
    sweep = _plan(tmp_path, [{"seed": 1}], overrides={"total_steps": 3})
    record_sweep(sweep)
    assert json.loads((tmp_path / "runs" / "sweep.json").read_text()) == {
        "sweep": str(tmp_path / "rows.py"),
        "base": "mobilenet/config.py",
        "base_overrides": {"total_steps": 3},
        "rows": [{"name": "seed=1", "overrides": {"seed": 1}}],
    }


def test_a_sweep_may_grow_but_not_change_its_base(tmp_path):
    record_sweep(_plan(tmp_path, [{"seed": 1}], overrides={"total_steps": 3}))
    # Where the data lies changes no weight.
    more = {"total_steps": 3, "data.data_dir": "/elsewhere"}
    record_sweep(_plan(tmp_path, [{"seed": 1}, {"seed": 2}], overrides=more))
    with pytest.raises(UserError, match=r"--base.total_steps: 3 there, 4 here"):
        record_sweep(_plan(tmp_path, [{"seed": 1}], overrides={"total_steps": 4}))


def test_a_damaged_record_of_a_sweep_is_named(tmp_path):
    plan = _plan(tmp_path, [{"seed": 1}])
    record_sweep(plan)
    path = plan.workdir / "sweep.json"
    path.write_text(path.read_text()[:20])
    with pytest.raises(UserError, match=r"sweep\.json is not valid JSON"):
        record_sweep(plan)


def _rows(name, config=None):
    path = _SWEEPS / f"{name}.py"
    plan = plan_sweep(str(path), "base", config or cifar10.get_config(), {}, "runs")
    return [run.overrides for run in plan.runs]


def _pairs(rows, *keys):
    return {tuple(row[f"model.{key}"] for key in keys) for row in rows}


def test_figure_6_compares_what_the_paper_compares():
    bottleneck = _rows("bottleneck")
    assert _pairs(bottleneck, "bottleneck", "shortcut") == {
        ("linear", "bottleneck"), ("linear", "none"), ("relu6", "bottleneck"), ("relu6", "none")
    }  # fmt: skip
    assert {row["seed"] for row in bottleneck} == {0, 1, 2}
    shortcut = _rows("shortcut")
    assert _pairs(shortcut, "bottleneck", "shortcut") == {
        ("linear", "bottleneck"), ("linear", "expansion"), ("linear", "none")
    }  # fmt: skip
    assert (len(bottleneck), len(shortcut)) == (12, 9)


def test_the_trade_off_on_imagenet_has_the_papers_models():
    rows = _rows("tradeoff", base.get_config())
    v1 = {pair[1:] for pair in _pairs(rows, "name", "width", "resolution") if pair[0][-1] == "1"}
    v2 = {pair[1:] for pair in _pairs(rows, "name", "width", "resolution") if pair[0][-1] == "2"}
    # V1 figure 4: the cross product of four widths and four resolutions.
    assert v1 == {(w, r) for w in (0.25, 0.5, 0.75, 1.0) for r in (128, 160, 192, 224)}
    # V2 figure 5: four widths at five resolutions, and 1.4 at 224.
    widths, resolutions = (0.35, 0.5, 0.75, 1.0), (96, 128, 160, 192, 224)
    assert v2 == {(w, r) for w in widths for r in resolutions} | {(1.4, 224)}
    assert len(rows) == 37


def test_the_small_trade_off_has_four_widths_and_two_resolutions():
    rows = _rows("tradeoff_small")
    assert _pairs(rows, "resolution") == {(32,), (24,)}
    assert len(_pairs(rows, "name", "width")) == 8
    assert len(rows) == 16


def test_expansion_goes_from_1_to_10():
    factors = {row["model.expansion"] for row in _rows("expansion")}
    assert {1.0, 5.0, 6.0, 10.0} <= factors
    assert max(factors) == 10


def test_v1_ablations_are_of_equal_cost():
    config = cifar10.get_config()
    config.model.width = 1.0
    rows = _rows("v1_ablations", config)
    assert _pairs(rows, "width", "convolution", "depth") == {
        (1.0, "separable", "full"),
        (1.0, "full", "full"),
        (1.0, "separable", "shallow"),
        (0.75, "separable", "full"),
    }


def test_groups_of_batch_norm_divide_the_batch():
    config = cifar10.get_config()
    config.batch_size = 96
    sizes = {row["model.norm_group_size"] for row in _rows("batch_norm", config)}
    assert sizes == {8, 16, 32}
