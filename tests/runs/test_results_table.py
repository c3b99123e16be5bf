"""Two widths, one of them with three seeds, in every form."""

import csv
import dataclasses
import io
import json

import pytest

from mobilenet.errors import UserError
from mobilenet.runs.finished import to_line
from mobilenet.runs.groups import group_runs
from mobilenet.runs.results_table import format_results


@pytest.fixture
def runs(make_run):
    return [
        *(
            make_run(f"n{seed}", {"seed": seed, "model.width": 0.5}, top1=top1, seconds=60 + seed)
            for seed, top1 in enumerate((0.5, 0.52, 0.54))
        ),
        make_run("w", {"model.width": 1.0}, top1=0.625, params=2_236_682, madds=6_125_000),
    ]


def test_the_table_has_a_line_for_every_configuration(runs):
    lines = format_results(group_runs(runs), "table").splitlines()
    assert [line.split() for line in lines] == [
        ["model.width", "seeds", "top-1", "%", "params", "M", "MAdds", "M", "time"],
        ["0.5", "3", "52.00", "±", "2.00", "0.700", "2.00", "1", "min", "01", "s"],
        ["1", "1", "62.50", "2.237", "6.12", "1", "min", "40", "s"],
    ]


def test_csv_and_json_hold_plain_numbers(runs):
    groups = group_runs(runs)
    wanted = {
        "model.width": 0.5,
        "seeds": 3,
        "top1_mean": pytest.approx(0.52),
        "top1_stddev": pytest.approx(0.02),
        "params": 700_000,
        "madds": 2_000_000,
        "seconds_mean": pytest.approx(61),
    }
    first, second = json.loads(format_results(groups, "json"))
    assert first == wanted
    assert second["top1_stddev"] is None
    (diverged,) = group_runs([dataclasses.replace(runs[0], result=runs[0].result | {"top1": None})])
    assert json.loads(format_results([diverged], "json"))[0]["top1_mean"] is None
    first, second = csv.DictReader(io.StringIO(format_results(groups, "csv")))
    assert {key: float(value) for key, value in first.items()} == wanted
    assert second["top1_stddev"] == ""


def test_latex_escapes_what_it_reads_as_commands(runs):
    lines = format_results(group_runs(runs), "latex").splitlines()
    assert lines[0] == r"\begin{tabular}{lrrrrr}"
    assert r"top-1 \%" in lines[2]
    assert lines[4] == r"0.5 & 3 & 52.00 $\pm$ 2.00 & 0.700 & 2.00 & 1 min 01 s \\"


def test_the_result_names_the_score(make_run):
    runs = [make_run("a", {"model.width": width}, best="iou", iou=0.25) for width in (0.5, 1.0)]
    lines = format_results(group_runs(runs), "table").splitlines()
    assert lines[0].split()[:4] == ["model.width", "seeds", "iou", "%"]
    assert lines[1].split()[:3] == ["0.5", "1", "25.00"]
    assert json.loads(format_results(group_runs(runs), "json"))[0]["iou_mean"] == 0.25


def test_different_scores_are_no_table(runs, make_run):
    other = make_run("a", {"model.width": 2.0}, best="iou", iou=0.25)
    with pytest.raises(UserError, match=r"different scores \(iou, top1\)"):
        format_results(group_runs([*runs, other]), "csv")


def test_lines_go_through_the_command_unchanged(run_script, tmp_path, runs):
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(to_line(run) + "\n" for run in runs))
    done = run_script("scripts/results.py", path, "--format=jsonl")
    assert done.returncode == 0, done.stderr
    assert done.stdout == path.read_text()


def test_no_path_is_a_sentence(run_script):
    done = run_script("scripts/results.py")
    assert done.returncode == 1
    assert done.stderr.startswith("error: Name at least one run directory")
    assert len(done.stderr.splitlines()) == 1
