import json
import math

import pytest

from mobilenet.errors import UserError
from mobilenet.runs.finished import read_runs, to_line


def _write(run, directory):
    directory.mkdir(parents=True)
    for part in ("config", "environment", "result"):
        (directory / f"{part}.json").write_text(json.dumps(getattr(run, part)))
    lines = [json.dumps(record) + "\n" for record in run.metrics]
    (directory / "metrics.jsonl").write_text("".join(lines))


def test_runs_are_read_from_directories(tmp_path, make_run):
    first, second = make_run("a", top1=0.25), make_run("b")
    _write(first, tmp_path / "a")
    _write(second, tmp_path / "b")
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "logs").mkdir()
    assert read_runs([tmp_path]) == [first, second]
    assert read_runs([tmp_path / "b", tmp_path / "a"]) == [second, first]


def test_a_line_holds_a_run_without_the_paths_of_its_machine(tmp_path, make_run):
    run = make_run("a")
    run.metrics.append({"step": 6, "split": "train", "loss": math.inf})
    line = to_line(run)
    assert "somebody" not in line
    (tmp_path / "runs.jsonl").write_text(line + "\n")
    (read,) = read_runs([tmp_path / "runs.jsonl"])
    assert (read.name, read.result) == (run.name, run.result)
    assert read.config["data"] == run.config["data"] | {"data_dir": None}
    assert read.curve("top1", "eval") == ([10], [0.5])
    assert read.curve("loss", "train") == ([5, 6], [2.12346, math.inf])


@pytest.mark.parametrize(
    ("words", "kept"),
    [("slim:/home/somebody/v1.npz", "slim:v1.npz"), ("keras/v1", "keras/v1"), (None, None)],
)
def test_a_line_names_the_file_of_the_initial_weights_alone(make_run, words, kept):
    run = make_run("a")
    run.config["initial_weights"] = words
    assert json.loads(to_line(run))["config"]["initial_weights"] == kept


def test_made_up_images_are_called_fake(make_run):
    assert make_run("a", {"data.name": "x"}).data_name == "x"
    assert make_run("a", {"data.name": "x", "data.fake": True}).data_name == "fake x"


def test_keys_are_dotted(make_run):
    run = make_run("a", {"model.width": 0.75})
    assert run.key("model.width") == 0.75
    assert run.key("seed") == 0
    with pytest.raises(UserError, match=r"run a has no key model.depth"):
        run.key("model.depth")


def test_a_path_without_complete_runs_or_with_something_else_is_named(tmp_path, make_run):
    with pytest.raises(UserError, match=r"no complete run in .*absent"):
        read_runs([tmp_path / "absent"])
    path = tmp_path / "runs.jsonl"
    path.write_text(to_line(make_run()) + '\n{"name": "b"}\n')
    with pytest.raises(UserError, match=r"Line 2 of .*runs.jsonl is no run"):
        read_runs([path])
    _write(make_run("a"), tmp_path / "a")
    (tmp_path / "a" / "config.json").write_text('{"seed": ')
    with pytest.raises(UserError, match=r"config.json is not valid JSON"):
        read_runs([tmp_path])
