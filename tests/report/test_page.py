"""The page as a text: its table, its escaping, and that it loads nothing."""

import html.parser
import statistics

import pytest
from synthetic_runs import make_run, make_sweep

from mobilenet.errors import UserError
from mobilenet.report.page import build_page, write_page
from mobilenet.runs.finished import to_line


class _Page(html.parser.HTMLParser):
    """Tags with their attributes, and the text inside every tag."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self._open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "link"):
            self._open.append((tag, []))

    def handle_data(self, data):
        for _, texts in self._open:
            texts.append(data)

    def handle_endtag(self, tag):
        name, texts = self._open.pop()
        assert name == tag
        self.texts.append((tag, "".join(texts)))

    def all(self, tag):
        return [text for name, text in self.texts if name == tag]


@pytest.fixture(scope="module")
def sweep_page():
    return _Page(build_page(make_sweep()))


def test_the_table_has_a_row_for_every_configuration(sweep_page):
    assert sweep_page.all("th") == [
        "#", "top-1 (%)", "seeds", "MAdds (M)", "params (M)", "time", "model", "resolution", "width"
    ]  # fmt: skip
    cells = sweep_page.all("td")
    assert len(cells) == 16 * 9
    shares = [100 * run.result["top1"] for run in make_sweep()[:3]]
    assert cells[1] == f"{statistics.fmean(shares):.2f} ± {statistics.stdev(shares):.2f}"
    assert [cells[0], cells[2], *cells[6:9]] == ["1", "3", "mobilenet_v1", "32", "0.25"]
    assert sweep_page.all("h1") == ["MobileNet on cifar10"]
    summary = next(text for text in sweep_page.all("p") if "configurations" in text)
    assert summary.startswith("16 configurations, 48 runs. Top-1 is that of the last step's")
    assert summary.endswith("Ran on 2 cores of Intel(R) Xeon(R) CPU @ 2.80GHz.")


def test_a_single_configuration_is_named_by_its_network():
    page = _Page(build_page([make_run(width=0.5)]))
    assert page.all("th")[-1] == "network"
    assert page.all("td")[-1] == "mobilenet_v2 0.5, 32 pixels"
    (details,) = page.all("details")
    assert "augment.mean(127.5, 127.5, 127.5)" in details
    assert "data.data_dir" not in details  # a path of one machine


def test_details_tell_how_each_run_went():
    runs = [make_run(f"run-{seed}", seed=seed, width=1.0) for seed in (0, 1)]
    command = ["train.py", "--config=configs/cifar10.py", "--workdir=my runs"]
    runs[0].environment["starts"][-1]["command"] = command
    (text,) = _Page(build_page(runs)).all("pre")
    costs, first, called, second = text.splitlines()
    # 1,000 classes have 3,504,872 parameters (tests/golden/counts.csv), 10 have 990 x 1,281 fewer.
    assert costs.startswith("2,236,682 parameters, ")
    for run, line in zip(runs, (first, second), strict=True):
        share = f"top-1 {100 * run.result['top1']:.2f} %"
        assert line.startswith(f"{run.name}: seed {run.config['seed']}, {share}; 2 cores of Intel")
    assert called == "train.py --config=configs/cifar10.py '--workdir=my runs'"


def test_the_page_loads_nothing(sweep_page):
    loading = {"src", "srcset", "href", "xlink:href", "data", "action", "poster", "background"}
    loads = [
        (tag, name, value)
        for tag, attributes in sweep_page.tags
        for name, value in attributes.items()
        if name in loading
    ]
    # The empty icon keeps browsers from asking for /favicon.ico.
    assert loads[0] == ("link", "href", "data:,")
    inside = [("a", "href", f"#configuration-{number}") for number in range(1, 17)]
    assert loads[1:] == inside
    policy = next(a["content"] for t, a in sweep_page.tags if t == "meta" and "content" in a)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.partition("style-src")[0]


def test_strings_of_runs_are_never_markup():
    attack = "</script><script>alert(1)</script><!--<img src=x onerror='alert(2)'>&amp;\""
    text = build_page([make_run(attack, data=attack), make_run("b", data="b", width=0.5)])
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    page = _Page(text)
    # Three charts' data, Plotly, and our own.
    assert [tag for tag, _ in page.tags].count("script") == 5
    assert attack in page.all("td")
    assert page.all("h1") == [f"MobileNet on {attack} and b"]


@pytest.mark.parametrize(
    ("names", "note"),
    [
        (["imagenet2012"], "Published accuracies carry their source."),
        (["cifar10"], "These runs are on cifar10: accuracies on ImageNet do not compare"),
        (["imagenet2012", "cifar10"], "Some of these runs are on cifar10: accuracies on ImageNet"),
    ],
)
def test_what_published_points_compare_with_is_said(names, note):
    page = _Page(build_page([make_run(data=name) for name in names]))
    assert any(note in text for text in page.all("p"))


def test_a_page_is_written_whole_or_not_at_all(tmp_path):
    write_page([make_run()], tmp_path / "new" / "page.html")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["page.html"]
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"Cannot write .*: a file is in its place: choose"):
        write_page([make_run()], tmp_path / "file" / "page.html")


def test_the_command_writes_the_page(run_script, tmp_path):
    (tmp_path / "runs.jsonl").write_text(to_line(make_run(width=0.5)) + "\n")
    result = run_script("scripts/report.py", "runs.jsonl", "--out=page.html", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "Wrote page.html: open it in a browser.\n"
    assert "mobilenet_v2 0.5, 32 pixels" in (tmp_path / "page.html").read_text(encoding="utf-8")


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
