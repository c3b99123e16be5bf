"""scripts/plot.py: names, flags, files and the sentences for mistakes."""

import dataclasses
import json
import pathlib
import xml.etree.ElementTree

import cv2
import matplotlib as mpl
import pytest
from figure_runs import make_run

from mobilenet.errors import UserError
from mobilenet.figures.plot import FIGURES, plot

ROOT = pathlib.Path(__file__).parents[2]
_OPTIONS = {
    "runs": None,
    "x": "madds",
    "published": True,
    "seed": 0,
    "num_images": 256,
    "data_dir": None,
}
_RUNS = {
    "tradeoff": [make_run(0.5), make_run(0.6, model__name="mobilenet_v1")],
    "bottleneck": [make_run(0.5), make_run(0.6, model__bottleneck="relu6")],
    "shortcut": [make_run(0.5), make_run(0.6, model__shortcut="none")],
    "expansion": [make_run(0.5), make_run(0.6, model__expansion=3.0)],
}


def _plot(name, out, *, given=(), **options):
    plot([name], out, {**_OPTIONS, **options}, given)


def test_the_command_writes_a_picture(run_script, tmp_path):
    out = tmp_path / "new" / "cost.png"
    result = run_script("scripts/plot.py", "cost_breakdown", f"--out={out}")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    height, width, _ = cv2.imread(str(out)).shape
    # 200 dots for each inch of 7.6 x 3.7.
    assert (width, height) == (1520, 740)


def test_the_command_answers_a_mistake_by_one_sentence(run_script, tmp_path):
    result = run_script(
        "scripts/plot.py", "memory", f"--out={tmp_path / 'memory.png'}", "--runs=runs"
    )
    assert result.returncode == 1
    assert result.stderr == "error: --runs means nothing to memory: leave it out.\n"
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", [*_RUNS, "memory", "cost_breakdown"])
def test_every_figure_is_written_in_every_format(tmp_path, name):
    runs = None
    if name in _RUNS:
        lines = [json.dumps(dataclasses.asdict(run)) + "\n" for run in _RUNS[name]]
        (tmp_path / "runs.jsonl").write_text("".join(lines))
        runs = [str(tmp_path / "runs.jsonl")]
    for ending, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        out = tmp_path / f"figure.{ending}"
        _plot(name, out, runs=runs)
        assert out.read_bytes().startswith(start)
    assert xml.etree.ElementTree.parse(tmp_path / "figure.svg").getroot().tag.endswith("svg")


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_same_numbers_give_the_same_bytes(tmp_path, ending):
    for number in (1, 2):
        _plot("cost_breakdown", tmp_path / f"{number}.{ending}")
    assert (tmp_path / f"1.{ending}").read_bytes() == (tmp_path / f"2.{ending}").read_bytes()


def test_every_figure_has_the_words_of_its_flags():
    assert list(FIGURES) == [*_RUNS, "relu_embedding", "activations", "memory", "cost_breakdown"]
    assert {flag for _, wanted in FIGURES.values() for flag in wanted} == set(_OPTIONS)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], r"^Name one figure first, tradeoff, .*, cost_breakdown, not nothing\.$"),
        (["figure5"], r"not figure5\.$"),
        (["memory", "tradeoff"], r"not memory tradeoff\.$"),
    ],
)
def test_a_figure_is_named_once(tmp_path, names, message):
    with pytest.raises(UserError, match=message):
        plot(names, tmp_path / "a.png", _OPTIONS, [])


@pytest.mark.parametrize(
    ("name", "out", "keywords", "message"),
    [
        ("tradeoff", "a.png", {}, "--runs is missing: tradeoff needs run directories"),
        ("memory", None, {}, "--out is missing: name a file"),
        ("memory", "a.jpg", {}, r"--out=a\.jpg must end in \.pdf, \.png, \.svg\."),
        ("memory", "a", {}, r"--out=a must end in"),
        ("memory", "a.png", {"given": ["x"]}, "--x means nothing to memory: leave it out"),
        ("bottleneck", "a.png", {"given": ["runs", "published"]}, "--published means nothing"),
        ("activations", "a.png", {"runs": ["a", "b"]}, "--runs names 2 paths: activations draws"),
        ("activations", "a.png", {"runs": ["absent"]}, r"There is no config\.json in absent"),
        ("tradeoff", "a.png", {"runs": ["absent"]}, "There is no complete run in absent"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, monkeypatch, name, out, keywords, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as raised:
        _plot(name, out, **keywords)
    assert "\n" not in str(raised.value)
    assert not any(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"Cannot write .*: a"):
        _plot("memory", tmp_path / "file" / "a.png")


def test_the_users_matplotlibrc_changes_nothing(tmp_path):
    _plot("memory", tmp_path / "1.png")
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "black"}):
        _plot("memory", tmp_path / "2.png")
        assert mpl.rcParams["font.size"] == 20
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()
