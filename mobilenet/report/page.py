"""The page: one file that holds Plotly, its data and its style, and loads nothing."""

import base64
import hashlib
import html
import os
import pathlib
import shlex
from collections.abc import Iterable, Mapping, Sequence

from plotly.offline import get_plotlyjs

from mobilenet.errors import os_errors_explained
from mobilenet.report.charts import draw_curves, draw_tradeoff
from mobilenet.report.wording import (
    describe_start,
    devices_of,
    format_millions,
    format_value,
    joined,
    label,
    network,
    short_names,
)
from mobilenet.runs.finished import Run
from mobilenet.runs.groups import Group, common_score, group_runs
from mobilenet.runs.run_directory import flatten
from mobilenet.runtime.formatting import describe_name, format_duration
from mobilenet.runtime.whole_file import whole_file

# The published accuracies are those of this dataset.
_IMAGENET = "imagenet2012"
# Paths belong to one machine, and each run has a seed of its own.
_LEFT_OUT = ("data.data_dir", "seed")
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em; }
table { border-collapse: collapse; } th, td { padding: .25em .8em; text-align: left; }
th { border-bottom: 1px solid; } td, button { white-space: nowrap; }
button { border: 0; padding: 0; background: none; font: inherit; cursor: pointer; }
[aria-sort=ascending] button::after { content: " ↑"; }
[aria-sort=descending] button::after { content: " ↓"; }
td.number { text-align: right; }
dl { display: grid; grid-template-columns: max-content auto; gap: 0 1em; } dd { margin: 0; }
.scroll { overflow-x: auto; } pre { scroll-margin-top: 6em; white-space: pre-wrap; }
"""
# Draws what the page holds as data, and sorts the table by the column of a heading.
_SCRIPT = """
for (const data of document.querySelectorAll("script[type='application/json']")) {
  const { data: traces, layout } = JSON.parse(data.textContent);
  // Plotly's toolbar would offer to upload a chart.
  const options = { responsive: true, displaylogo: false, showSendToCloud: false };
  Plotly.newPlot(data.dataset.chart, traces, layout, { ...options, plotlyServerURL: "" });
}
for (const heading of document.querySelectorAll("th")) {
  heading.addEventListener("click", () => {
    const body = heading.closest("table").tBodies[0], column = heading.cellIndex;
    const sign = heading.ariaSort === "ascending" ? -1 : 1;
    for (const other of heading.parentNode.cells) other.ariaSort = null;
    heading.ariaSort = sign === 1 ? "ascending" : "descending";
    const order = (...rows) => {
      const [a, b] = rows.map((row) => row.cells[column]);
      const [x, y] = [a, b].map((cell) => parseFloat(cell.dataset.number));
      // What is no number comes last in both directions.
      if (isNaN(x) !== isNaN(y)) return isNaN(x) - isNaN(y);
      return sign * (x - y || a.textContent.localeCompare(b.textContent, "en"));
    };
    body.append(...[...body.rows].sort(order));
  });
}
"""


def write_page(runs: Sequence[Run], path: str | os.PathLike[str]) -> None:
    """Writes the page of some runs, whole or not at all.

    Raises:
      UserError: the file cannot be written, or the runs have different scores.
    """
    text = build_page(runs)
    path = pathlib.Path(path)
    with os_errors_explained(f"write {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def build_page(runs: Sequence[Run]) -> str:
    """Returns the HTML of the page for some runs, at least one.

    Raises:
      UserError: the runs have different scores.
    """
    groups = group_runs(runs)
    score = common_score(groups)
    datasets = list(dict.fromkeys(group.runs[0].data_name for group in groups))
    charts = {
        "tradeoff": draw_tradeoff(groups, show_published=datasets == [_IMAGENET]),
        "evaluation": draw_curves(groups, score, "eval"),
        "loss": draw_curves(groups, "loss", "train"),
    }
    data = "\n".join(
        f'<script type="application/json" data-chart="{name}">{_escape(chart.to_json())}</script>'
        for name, chart in charts.items()
    )
    title = f"MobileNet on {joined(datasets)}"
    scripts = [get_plotlyjs(), _SCRIPT]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<link rel="icon" href="data:,">
<style>{_STYLE}</style>
</head>
<body>
<h1>{html.escape(title)}</h1>
<p>{html.escape(_summary(groups, score))}</p>
<h2>Accuracy and cost</h2>
<noscript><p>The charts need JavaScript; table and configurations do not.</p></noscript>
<p>Bars are one standard deviation to each side. Lines join points that differ in resolution only,
and name their width. A click on the legend shows or hides what it names.
{html.escape(_published_note(datasets))}</p>
<div id="tradeoff"></div>
<h2>Results</h2>
<div class="scroll">{_table(groups, score)}</div>
<h2>{html.escape(_title(score))} in training</h2>
<p>Each run is a line, named by the number of its configuration. Long curves are means of
neighbouring reports; gaps are values that are not finite.</p>
<div id="evaluation"></div>
<h2>Loss in training</h2>
<div id="loss"></div>
<h2>Configurations</h2>
{"".join(_details(number, group) for number, group in enumerate(groups, start=1))}
{data}
{"".join(f"<script>{script}</script>" for script in scripts)}
</body>
</html>
"""


def _summary(groups: Sequence[Group], score: str) -> str:
    runs = [run for group in groups for run in group.runs]
    return (
        f"{_counted(len(groups), 'configuration')}, {_counted(len(runs), 'run')}. "
        f"{_title(score)} is that of the last step's weights on all of "
        f"{joined([str(run.result['split']) for run in runs])}, as mean ± standard deviation over "
        f"seeds. Ran on {'; '.join(dict.fromkeys(map(devices_of, runs)))}."
    )


def _published_note(datasets: Sequence[str]) -> str:
    others = [name for name in datasets if name != _IMAGENET]
    if not others:
        return "Published accuracies carry their source."
    which = "These runs are" if len(others) == len(datasets) else "Some of these runs are"
    return f"{which} on {joined(others)}: accuracies on ImageNet do not compare with theirs."


def _table(groups: Sequence[Group], score: str) -> str:
    """One row for each group: its score, costs and time, and what makes it another one."""
    names = short_names(list(groups[0].overrides)) or {"": "network"}
    heads = ["#", f"{describe_name(score)} (%)", "seeds", "MAdds (M)", "params (M)", "time"]
    rows = []
    for number, group in enumerate(groups, start=1):
        madds, params, seconds = (group.mean(key) for key in ("madds", "params", "seconds"))
        cells = [
            _cell(group.spread(score), group.mean(score)),
            _cell(str(len(group.runs)), len(group.runs)),
            _cell(format_millions(madds), madds),
            _cell(format_millions(params), params),
            _cell(format_duration(seconds), seconds),
        ]
        values = list(group.overrides.values()) or [network(group)]
        cells += [_cell(format_value(value), value) for value in values]
        first = f'<td data-number="{number}"><a href="#configuration-{number}">{number}</a></td>'
        rows.append(f"<tr>{first}{''.join(cells)}</tr>")
    head = "".join(
        f"<th><button>{html.escape(name)}</button></th>" for name in [*heads, *names.values()]
    )
    body = "\n".join(rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _cell(text: str, value: object) -> str:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    number = f' class="number" data-number="{value!r}"' if is_number else ""
    return f"<td{number}>{html.escape(text)}</td>"


def _details(number: int, group: Group) -> str:
    config = {k: format_value(v) for k, v in flatten(group.config).items() if k not in _LEFT_OUT}
    score, result = group.score_name, group.runs[0].result
    runs = [f"{result['params']:,} parameters, {result['madds']:,} multiply-adds"]
    for run, value in zip(group.runs, group.values(score), strict=True):
        share = f"{describe_name(score)} {100 * value:.2f} %"
        command = shlex.join(run.environment["starts"][-1].get("command", ()))
        told = f"{run.name}: seed {run.config['seed']}, {share}; {describe_start(run)}\n{command}"
        runs.append(told.strip())
    # A browser opens the details when a link leads to what is in them.
    return (
        f"<details><summary>{number}: {html.escape(label(group))}</summary>"
        f'<pre id="configuration-{number}">{html.escape(chr(10).join(runs))}</pre>'
        f"{_definitions(config)}</details>\n"
    )


def _definitions(values: Mapping[str, str]) -> str:
    pairs = (f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in values.items())
    return f"<dl>{''.join(pairs)}</dl>"


def _policy(scripts: Iterable[str]) -> str:
    # Nothing is loaded, and no script runs but ours, whatever the names of runs hold.
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"
    )


def _escape(text: str) -> str:
    # An HTML parser ends a script at `</script` and reads `<!--` as well, inside strings too.
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _title(score: str) -> str:
    name = describe_name(score)
    return name[:1].upper() + name[1:]


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + "s" * (number != 1)
