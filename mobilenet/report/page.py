"""The page: one file that holds its style, its script and its data, and loads nothing."""

import base64
import hashlib
import html
import importlib.resources
import json
import os
import pathlib
import string
from collections.abc import Sequence
from typing import Any

from mobilenet.errors import os_errors_explained
from mobilenet.report.data import IMAGENET, datasets, group_data
from mobilenet.report.published import published_data
from mobilenet.report.table import table_html
from mobilenet.runs.finished import Run
from mobilenet.runs.groups import Group, group_runs
from mobilenet.runtime.whole_file import whole_file

_STYLES = ("chart.css", "page.css")  # what print changes comes last
_SCRIPTS = ("chart.js", "tradeoff.js", "details.js", "table.js", "page.js")


def write_page(runs: Sequence[Run], path: str | os.PathLike[str]) -> None:
    """Writes the page of some runs, whole or not at all.

    Raises:
      UserError: the file cannot be written.
    """
    text = build_page(runs)
    path = pathlib.Path(path)
    with os_errors_explained(f"write {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def build_page(runs: Sequence[Run]) -> str:
    """Returns the HTML of the page for some runs, at least one."""
    groups = group_runs(runs)
    data = group_data(groups)
    script = "".join(map(_read, _SCRIPTS))
    return string.Template(_read("page.html")).substitute(
        policy=_policy(script),
        title=html.escape(f"MobileNet on {_joined(datasets(groups))}"),
        summary=html.escape(_summary(groups)),
        hardware=html.escape(_hardware(groups)),
        note=html.escape(_published_note(datasets(groups))),
        checked=" checked" if datasets(groups) == [IMAGENET] else "",
        table=table_html(groups, data),
        style="".join(map(_read, _STYLES)),
        script=script,
        data=_json({"groups": data, "published": published_data()}),
    )


def _summary(groups: Sequence[Group]) -> str:
    runs = [run for group in groups for run in group.runs]
    splits = dict.fromkeys(str(run.result["split"]) for run in runs)
    return (
        f"{_counted(len(groups), 'configuration')}, {_counted(len(runs), 'run')}. Top-1 is that of "
        f"the last step's weights on the whole {_joined(splits)} split, as mean ± standard "
        "deviation over seeds."
    )


def _hardware(groups: Sequence[Group]) -> str:
    """Returns what the runs ran on, because times mean nothing without it."""
    found = dict.fromkeys(_device(run) for group in groups for run in group.runs)
    return f"Ran on {'; '.join(found)}."


def _device(run: Run) -> str:
    start = run.environment["starts"][-1]
    devices, cpu = start["devices"], start["cpu"]
    if devices["platform"] == "cpu":
        return f"{_counted(cpu['cores'] or 0, 'core')} of {cpu['model'] or 'an unknown processor'}"
    return f"{devices['count']} x {devices['kind']}"


def _published_note(names: Sequence[str]) -> str:
    others = [name for name in names if name != IMAGENET]
    if not others:
        return "Published accuracies carry their source."
    which = "These runs are on" if len(others) == len(names) else "Some of these runs are on"
    return f"{which} {_joined(others)}: accuracies on ImageNet do not compare with theirs."


def _policy(script: str) -> str:
    # Nothing is loaded, and no script runs but ours, whatever the names of runs hold.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:"
    )


def _json(value: Any) -> str:
    # An HTML parser ends a script at `</script` and reads `<!--` as well, inside strings too.
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + "s" * (number != 1)


def _joined(names: Sequence[str] | dict[str, None]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _read(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
