"""What the page shows, as plain data: groups of runs, and what was published."""

import re
import statistics
from collections.abc import Sequence
from typing import Any

from mobilenet.report.text import (
    finite,
    format_millions,
    format_percent,
    format_time,
    format_value,
    percent,
    short_names,
)
from mobilenet.runs.finished import Run
from mobilenet.runs.groups import Group
from mobilenet.runs.run_directory import flatten

# The published accuracies are those of this dataset.
IMAGENET = "imagenet2012"
# More points than a curve has pixels only make the page heavy.
_MOST_POINTS = 300
# Paths belong to one machine, and each run has a seed of its own.
_LEFT_OUT = ("data.data_dir", "seed")


def group_data(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Returns one dict for each group, ready for JSON: every number is finite or None.

    `top1`, `stddev` and accuracies of curves are in percent, `madds` and `params` are counts.
    """
    names = short_names(list(groups[0].overrides)) if groups else {}
    return [_group(group, names) for group in groups]


def datasets(groups: Sequence[Group]) -> list[str]:
    """Returns the names of the datasets that the groups were trained on, each once."""
    return list(dict.fromkeys(str(group.runs[0].key("data.name")) for group in groups))


def _group(group: Group, names: dict[str, str]) -> dict[str, Any]:
    result = group.runs[0].result
    top1, stddev = percent(group.mean("top1")), percent(group.stddev("top1"))
    seconds = finite(group.mean("seconds"))
    differing = {key: format_value(value) for key, value in group.overrides.items()}
    label = ", ".join(f"{names[key]} {value}" for key, value in differing.items())
    return {
        "label": label or network(group),
        "family": family(group),
        "line": _line(group),
        "width": width(group),
        "params": result["params"],
        "madds": result["madds"],
        "top1": top1,
        "stddev": stddev,
        "seconds": seconds,
        "facts": {
            "params": format_millions(result["params"]),
            "madds": format_millions(result["madds"]),
            "top1": format_spread(top1, stddev),
            "seeds": _seeds(group),
            "seconds": format_time(seconds),
            "exact params": f"{result['params']:,}",
            "exact madds": f"{result['madds']:,}",
        },
        "differing": differing,
        "config": {
            key: format_value(value)
            for key, value in flatten(group.config).items()
            if key not in _LEFT_OUT
        },
        "runs": [_run(run) for run in group.runs],
    }


def family(group: Group) -> str:
    """Returns `V1` or `V2`."""
    name = str(group.runs[0].key("model.name"))
    found = re.fullmatch(r"mobilenet_(v\d)(?:_\d+)?", name)
    return found[1].upper() if found else name


def width(group: Group) -> float | None:
    """Returns the width multiplier, which the name of a network may hold: mobilenet_v2_050."""
    found = re.fullmatch(r"mobilenet_v\d_(\d{3})", str(group.runs[0].key("model.name")))
    return int(found[1]) / 100 if found else group.runs[0].key("model.width")


def network(group: Group) -> str:
    """Returns the network in a few words, such as `V2 0.5, 32 pixels`."""
    resolution = group.runs[0].key("model.resolution")
    return f"{family(group)} {format_value(width(group))}, {resolution} pixels"


def format_spread(top1: float | None, stddev: float | None) -> str:
    """Returns a mean with its standard deviation, if there is one: `75.66 ± 0.42`."""
    return format_percent(top1) + ("" if stddev is None else f" ± {stddev:.2f}")


def _line(group: Group) -> str:
    # Points are joined that differ in nothing but the resolution.
    return repr([(key, v) for key, v in group.overrides.items() if key != "model.resolution"])


def _seeds(group: Group) -> str:
    values = [percent(value) for value in group.values("top1")]
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return str(len(values))
    return f"{len(values)} ({min(known):.2f} to {max(known):.2f} %)"


def _run(run: Run) -> dict[str, Any]:
    loss, reports = _thinned(*run.curve("loss", "train"))
    steps, values = run.curve("top1", "eval")
    return {
        "name": run.name,
        "seed": run.config["seed"],
        "top1": percent(float(run.result["top1"])),
        "evaluation": [[step, _rounded(percent(v))] for step, v in zip(steps, values, strict=True)],
        "loss": loss,
        "reports": reports,
    }


def _thinned(steps: list[int], values: list[float]) -> tuple[list[list[float | None]], int]:
    """Returns points that are means of neighbouring reports, and of how many."""
    size = max(1, -(-len(steps) // _MOST_POINTS))
    starts = range(0, len(steps), size)
    points: list[list[float | None]] = [
        [steps[start : start + size][-1], _mean(values[start : start + size])] for start in starts
    ]
    return points, size


def _mean(values: list[float]) -> float | None:
    # A report that is not finite must show as a gap, not vanish in the mean.
    if any(finite(value) is None for value in values):
        return None
    return _rounded(statistics.fmean(values))


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
