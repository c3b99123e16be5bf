"""The page as a text: its structure, its escaping, and that it loads nothing."""

import base64
import dataclasses
import hashlib
import html.parser
import json
import math
import pathlib
import re

import pytest
from synthetic_runs import make_run, make_sweep

from mobilenet.errors import UserError
from mobilenet.report.page import build_page, write_page
from mobilenet.runs.finished import read_runs, to_line

_ROOT = pathlib.Path(__file__).parents[2]


class _Page(html.parser.HTMLParser):
    """Tags with their attributes, and the text inside every tag."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.texts = []  # (tag, attributes, text), in the order of their ends
        self._open = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "link", "input"):
            self._open.append((tag, dict(attributes), []))

    def handle_data(self, data):
        for _, _, texts in self._open:
            texts.append(data)

    def handle_endtag(self, tag):
        name, attributes, texts = self._open.pop()
        assert name == tag
        self.texts.append((tag, attributes, "".join(texts)))

    def all(self, tag, **attributes):
        return [
            text
            for name, found, text in self.texts
            if name == tag and attributes.items() <= found.items()
        ]

    @property
    def data(self):
        (text,) = self.all("script", id="data")
        return json.loads(text)


@pytest.fixture(scope="module")
def sweep_page():
    return build_page(make_sweep())


def test_the_table_has_a_row_for_every_group(sweep_page):
    page = _Page(sweep_page)
    assert page.all("th") == [
        "model", "resolution", "width", "params (M)", "MAdds (M)", "top-1 (%)", "seeds", "time"
    ]  # fmt: skip
    rows = [attributes for tag, attributes in page.tags if tag == "tr"][1:]
    assert [row["data-group"] for row in rows] == [str(index) for index in range(16)]
    cells = page.all("td")
    assert len(cells) == 16 * 8
    assert cells[:3] == ["mobilenet_v1", "32", "0.25"]
    group = page.data["groups"][0]
    assert cells[5] == f"{group['top1']:.2f} ± {group['stddev']:.2f}"
    assert page.all("h1") == ["MobileNet on cifar10"]
    (summary,) = (text for text in page.all("p") if "configurations" in text)
    assert summary.startswith("16 configurations, 48 runs. Top-1 is that of the last step's")
    assert summary.endswith("Ran on 2 cores of Intel(R) Xeon(R) CPU @ 2.80GHz.")


def test_numbers_sort_as_numbers(sweep_page):
    cells = [attributes for tag, attributes in _Page(sweep_page).tags if tag == "td"]
    assert "data-number" not in cells[0]
    assert cells[1]["data-number"] == "32"
    assert float(cells[4]["data-number"]) > 1e6


def test_a_single_configuration_is_named_by_its_network():
    page = _Page(build_page([make_run(width=0.5)]))
    assert page.all("th")[0] == "network"
    assert page.all("td")[0] == "V2 0.5, 32 pixels"


def test_every_element_of_the_scripts_exists(sweep_page):
    ids = {attributes.get("id") for _, attributes in _Page(sweep_page).tags}
    asked = set(re.findall(r'getElementById\("([\w-]+)"\)', sweep_page))
    assert len(asked) > 8
    assert asked <= ids


def test_the_page_loads_nothing(sweep_page):
    page = _Page(sweep_page)
    loading = {"src", "srcset", "href", "xlink:href", "data", "action", "poster", "background"}
    loads = [
        (tag, name, value)
        for tag, attributes in page.tags
        for name, value in attributes.items()
        if name in loading
    ]
    # The empty icon keeps browsers from asking for /favicon.ico.
    assert loads == [("link", "href", "data:,")]
    assert "http:" not in sweep_page
    assert "https:" not in sweep_page
    (style,) = page.all("style")
    assert "url(" not in style
    assert "@import" not in style
    (script,) = page.all("script", type="module")
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|import|EventSource)\b", script)
    assert "innerHTML" not in script


def test_the_policy_allows_our_script_alone(sweep_page):
    page = _Page(sweep_page)
    (policy,) = (
        attributes["content"]
        for tag, attributes in page.tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["default-src"] == "'none'"
    (script,) = page.all("script", type="module")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert directives["script-src"] == f"'sha256-{digest}'"


def test_strings_of_runs_are_never_markup():
    attack = "</script><script>alert(1)</script><!--<img src=x onerror='alert(2)'>&amp;\""
    runs = [make_run(attack, data=attack), make_run("b", data="b", width=0.5)]
    text = build_page(runs)
    assert "<script>alert" not in text
    assert "<img" not in text
    page = _Page(text)
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert page.all("td")[0] == attack
    group = page.data["groups"][0]
    assert group["runs"][0]["name"] == attack
    assert group["differing"]["data.name"] == attack
    assert page.all("h1") == [f"MobileNet on {attack} and b"]


def test_values_that_are_not_finite_leave_the_json_valid():
    metrics = [
        {"step": 1, "split": "train", "loss": math.nan},
        {"step": 2, "split": "train", "loss": "Infinity"},
        {"step": 2, "split": "eval", "top1": "NaN"},
    ]
    run = dataclasses.replace(make_run(), metrics=metrics)
    (text,) = _Page(build_page([run])).all("script", id="data")

    def refuse(constant):
        raise AssertionError(constant)

    data = json.loads(text, parse_constant=refuse)
    assert data["groups"][0]["runs"][0]["loss"] == [[1, None], [2, None]]


@pytest.mark.parametrize(
    ("names", "is_checked", "note"),
    [
        (["imagenet2012"], True, "Published accuracies carry their source."),
        (
            ["cifar10"],
            False,
            "These runs are on cifar10: accuracies on ImageNet do not compare with theirs.",
        ),
        (
            ["imagenet2012", "cifar10"],
            False,
            "Some of these runs are on cifar10: accuracies on ImageNet do not compare with theirs.",
        ),
    ],
)
def test_published_points_are_on_only_beside_imagenet(names, is_checked, note):
    page = _Page(build_page([make_run(data=name) for name in names]))
    (box,) = (attributes for tag, attributes in page.tags if tag == "input")
    assert ("checked" in box) is is_checked
    assert page.all("p", id="note") == [note]
    assert page.data["published"]


def test_a_page_is_written_whole_or_not_at_all(tmp_path):
    write_page([make_run()], tmp_path / "new" / "page.html")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["page.html"]
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"Cannot write .*: a file is in its place: choose"):
        write_page([make_run()], tmp_path / "file" / "page.html")


def test_the_command_writes_the_page(run_script, tmp_path):
    lines = [to_line(make_run(width=width)) + "\n" for width in (0.5, 1.0)]
    (tmp_path / "runs.jsonl").write_text("".join(lines))
    result = run_script("scripts/report.py", "runs.jsonl", "--out=page.html", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "Wrote page.html: open it in a browser.\n"
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text == build_page(read_runs([tmp_path / "runs.jsonl"]))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "error: Name at least one run directory, a folder of them, or a .jsonl file."),
        (("empty",), "error: There is no complete run in empty"),
    ],
)
def test_a_mistake_is_one_sentence(run_script, tmp_path, arguments, sentence):
    (tmp_path / "empty").mkdir()
    result = run_script("scripts/report.py", *arguments, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith(sentence)
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "report.html").exists()
