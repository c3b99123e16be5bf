"""Groups of runs in words, and the values of their configs as the page shows them."""

import json
import math
import re
from collections.abc import Sequence
from typing import Any

from mobilenet.runs.finished import Run
from mobilenet.runs.groups import Group
from mobilenet.runtime.formatting import format_size

# Longer names take the room of the charts.
_LONGEST = 68


def label(group: Group) -> str:
    """Returns what makes a group another one, or its network where there is only one."""
    return describe(group) or network(group)


def short_label(group: Group) -> str:
    """Returns `label`, or the network alone where too much differs to be read beside a chart."""
    return label(group) if len(label(group)) <= _LONGEST else network(group)


def describe(group: Group) -> str:
    """Returns the keys in which groups differ, with this one's values: `width 0.5, model ...`."""
    names = short_names(list(group.overrides))
    return ", ".join(f"{names[key]} {format_value(v)}" for key, v in group.overrides.items())


def network(group: Group) -> str:
    """Returns the network in a few words, such as `mobilenet_v2 0.5, 32 pixels`."""
    name, resolution = group.runs[0].key("model.name"), group.runs[0].key("model.resolution")
    family = re.sub(r"_\d{3}$", "", name)
    return f"{family} {width_of(group)}, {format_size(resolution)} pixels"


def width_of(group: Group) -> str:
    """Returns the width multiplier, which the name of a network may hold: mobilenet_v2_050."""
    hundredths = re.search(r"_(\d{3})$", group.runs[0].key("model.name"))
    return format_value(
        int(hundredths[1]) / 100 if hundredths else group.runs[0].key("model.width")
    )


def describe_start(run: Run) -> str:
    """Returns what a run ran on last: its devices, and where they are known JAX and the commit."""
    start = run.environment["starts"][-1]
    parts = [devices_of(run)]
    if version := start.get("versions", {}).get("jax"):
        parts.append(f"JAX {version}")
    if git := start.get("git"):
        parts.append(f"commit {git['commit'][:12]}{', changed' if git['dirty'] else ''}")
    return ", ".join(parts)


def devices_of(run: Run) -> str:
    """Returns what a run ran on, because times mean nothing without it."""
    start = run.environment["starts"][-1]
    devices, cpu = start["devices"], start["cpu"]
    if devices["platform"] == "cpu":
        cores = cpu["cores"] or 0
        return f"{cores} core{'s' * (cores != 1)} of {cpu['model'] or 'an unknown processor'}"
    return f"{devices['count']} x {devices['kind']}"


def format_millions(count: float) -> str:
    """Returns a count in millions with three digits: 300_790_000 is `301`, 531 is `0.000531`."""
    millions = count / 1e6
    if millions == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(millions))))
    return f"{millions:,.{decimals}f}"


def format_value(value: Any) -> str:
    """Returns a value of a config as one writes it on the command line."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, (list, tuple)):
        return f"({', '.join(map(format_value, value))})"
    return value if isinstance(value, str) else json.dumps(value)


def short_names(keys: list[str]) -> dict[str, str]:
    """Returns a short name for each dotted key: `width` for `model.width`.

    The key `model.name` is `model`, as `name` would say nothing. Keys that would share a name keep
    their sections.
    """
    short = {key: _last_part(key) for key in keys}
    return {
        key: name if list(short.values()).count(name) == 1 else key for key, name in short.items()
    }


def joined(names: Sequence[str]) -> str:
    """Returns names as a sentence has them: `a, b and c`."""
    *others, last = dict.fromkeys(names)
    return f"{', '.join(others)} and {last}" if others else last


def _last_part(key: str) -> str:
    section, _, last = key.rpartition(".")
    return section if section and last == "name" else last
