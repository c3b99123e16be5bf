"""What a benchmark says: numbers for JSON, and a table."""

import importlib.metadata
import statistics
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.contenders import OURS
from benchmarks.turns import Turns
from mobilenet.runtime.environment import describe_environment
from mobilenet.runtime.formatting import format_table


def spread(rounds: Sequence[float]) -> dict[str, Any]:
    """Returns the median over rounds, the smallest, the largest, and all of them."""
    return {
        "median": statistics.median(rounds),
        "min": min(rounds),
        "max": max(rounds),
        "rounds": list(rounds),
    }


def summarize_turns(turns: Turns, batch_size: int) -> dict[str, Any]:
    """Returns images per second of every contender, and ours over each peer's round by round.

    A ratio above 1 means that ours is faster. Ours has one number for every measurement, so as many
    a round as there are peers.
    """
    seconds = {OURS: turns.alone + [own for pairs in turns.pairs.values() for own, _ in pairs]}
    seconds |= {peer: [theirs for _, theirs in pairs] for peer, pairs in turns.pairs.items()}
    return {
        "images_per_second": {
            name: spread([batch_size / duration for duration in durations])
            for name, durations in seconds.items()
        },
        "ratio_to": {
            peer: spread([theirs / own for own, theirs in pairs])
            for peer, pairs in turns.pairs.items()
        },
        "left_out": turns.left_out,
    }


def summarize_starts(starts: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Returns the seconds of cold and warm starts, and cold over warm round by round."""
    return {
        "seconds": {
            "cold": spread([cold for cold, _ in starts]),
            "warm": spread([warm for _, warm in starts]),
        },
        "cold_over_warm": spread([cold / warm for cold, warm in starts]),
    }


def describe_machine(threads: int, modules: Iterable[str]) -> dict[str, Any]:
    """Returns hardware, versions and the threads that every contender had.

    Args:
      threads: of every contender.
      modules: what the peers import, whose versions are wanted besides ours.
    """
    machine = describe_environment(sys.argv)
    packages = importlib.metadata.packages_distributions()
    for package in sorted({name for module in modules for name in packages.get(module, ())}):
        machine["versions"][package] = importlib.metadata.version(package)
    return {**machine, "threads": threads}


def format_report(report: dict[str, Any]) -> str:
    """Returns the report as text: what was measured, where, and a line for every contender."""
    machine = report["machine"]
    devices = machine["devices"]
    lines = [
        f"{report['benchmark']}: "
        + ", ".join(f"{key} {value}" for key, value in report["workload"].items()),
        f"{machine['cpu']['model']}, {machine['threads']} threads, "
        f"{devices['count']} {devices['kind']}",
        ", ".join(f"{name} {version}" for name, version in machine["versions"].items()),
        "",
    ]
    lines += _start_lines(report) if "seconds" in report else _turn_lines(report)
    return "\n".join(lines)


def _turn_lines(report: dict[str, Any]) -> list[str]:
    per_core = report["benchmark"] == "input"
    second = "per core" if per_core else "s/batch"
    rows = [("", "images/s", second, "ours / peer, median (min to max)")]
    for name, speed in report["images_per_second"].items():
        median = speed["median"]
        second = (
            f"{median / report['machine']['threads']:.1f}"
            if per_core
            else f"{report['workload']['batch_size'] / median:.4f}"
        )
        ratio = "" if name == OURS else _ratio(report["ratio_to"][name])
        rows.append((name, f"{median:.2f}", second, ratio))
    left_out = [f"{name}: left out, {why}" for name, why in report["left_out"].items()]
    return [format_table(rows, "lrrl"), *left_out]


def _start_lines(report: dict[str, Any]) -> list[str]:
    lines = ["from the start of train.py to the end of its first step"]
    for name, seconds in report["seconds"].items():
        lines.append(
            f"{name:<6}{seconds['median']:>8.1f} s ({seconds['min']:.1f} to {seconds['max']:.1f})"
        )
    return [*lines, f"cold / warm, median (min to max)   {_ratio(report['cold_over_warm'])}"]


def _ratio(values: dict[str, Any]) -> str:
    return f"{values['median']:.2f} ({values['min']:.2f} to {values['max']:.2f})"
