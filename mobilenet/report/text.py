"""Numbers and values of configs as the page shows them."""

import json
import math
from typing import Any

from mobilenet.runtime.formatting import format_duration


def finite(value: float | None) -> float | None:
    """Returns the value, or None for what JSON cannot hold."""
    return value if value is not None and math.isfinite(value) else None


def percent(share: float | None) -> float | None:
    """Returns a share in percent; None for what is not finite."""
    return None if share is None else finite(100 * share)


def format_percent(value: float | None) -> str:
    """Returns a number of percent without its sign: `75.66`."""
    return "not finite" if value is None else f"{value:.2f}"


def format_millions(count: float) -> str:
    """Returns a count in millions with three digits: 300_790_000 is `301`, 531 is `0.000531`."""
    millions = count / 1e6
    if millions == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(millions))))
    return f"{millions:,.{decimals}f}"


def format_time(seconds: float | None) -> str:
    """Returns a duration such as `4 min 09 s`."""
    return "not finite" if seconds is None else format_duration(seconds)


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


def _last_part(key: str) -> str:
    section, _, last = key.rpartition(".")
    return section if section and last == "name" else last
